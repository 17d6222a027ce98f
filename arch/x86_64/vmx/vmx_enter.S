// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back (Intel SDM vol. 3C, 26 and 27). Called with interrupts masked; one that comes ends the guest's run
// and stays pending. Everything but the general registers is switched by the hardware.
#include "arch/x86_64/virt/enter_regs.inc"

#define VMCS_HOST_RSP_FIELD 0x6C14 // vmcs.h has it too

    .text
// bool vmx_enter(uint64_t r[16], bool launched): false when the entry itself failed
    .global vmx_enter, vmx_exit_entry
    .type vmx_enter, @function
    .balign 16
vmx_enter:
    host_regs_push
    push    %rdi
    mov     $VMCS_HOST_RSP_FIELD, %eax
    vmwrite %rsp, %rax
    test    %sil, %sil          // the flag lives until the jump
    mov     8*0(%rdi), %rax
    guest_regs_load
    jnz     1f
    vmlaunch
    jmp     2f
1:  vmresume
2:  pop     %rdi                // nothing has run
    xor     %eax, %eax
    jmp     3f

// The exit comes here, RSP as noted.
    .balign 16
vmx_exit_entry:
    guest_regs_store
    mov     %rax, 8*0(%rdi)
    mov     $1, %eax
3:  host_regs_pop
    ret
    .size vmx_enter, . - vmx_enter
