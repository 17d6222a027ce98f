// SPDX-License-Identifier: Apache-2.0
//
// Interrupt handlers of the redteam's own, and a way into CPL 3 and back.
#define VECTOR_USER_END 0x3D
#define STORM_END 5000
#define USER_CS 0x23
#define USER_SS 0x1B

    .text
    .globl count_interrupt
count_interrupt:
    push    %rax
    push    %rcx
    push    %rdx
    incq    interrupt_count(%rip)
    cmpq    $STORM_END, interrupt_count(%rip)
    jb      1f
    mov     $0xFED00010, %eax       // HPET, general configuration
    movl    $0, (%rax)
1:  mov     $0x80B, %ecx            // EOI
    xor     %eax, %eax
    xor     %edx, %edx
    wrmsr
    pop     %rdx
    pop     %rcx
    pop     %rax
    iretq

    .globl count_debug
count_debug:
    incq    debug_count(%rip)
    andq    $~0x100, 16(%rsp)       // TF
    iretq

// void user_run(const void *code): it ends with user_out.
    .globl user_run
user_run:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %rsp, kernel_rsp(%rip)
    lea     user_out(%rip), %rax
    mov     %rax, trap_resume(%rip)
    lea     user_stack_end(%rip), %rax
    push    $USER_SS
    push    %rax
    pushfq
    push    $USER_CS
    push    %rdi
    iretq

    .globl user_out
user_out:
    int     $VECTOR_USER_END

    .globl user_end
user_end:
    mov     kernel_rsp(%rip), %rsp
    mov     $16, %eax
    mov     %eax, %ds
    mov     %eax, %es
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    cld
    ret

    // What follows the macro is the program.
    .macro user text, vector
    .section .rodata.user, "a"
77: .asciz  "\text"
    .section .data.rel.ro.user, "aw"
    .quad   77b, 78f, \vector
    .text
78:
    .endm

    .section .data.rel.ro.user, "aw"
    .balign 8
    .globl user_codes
user_codes:
    user    "nothing", -1
    nop
    jmp     user_out
    user    "cpuid", -1
    cpuid
    jmp     user_out
    user    "vmmcall", -2
    vmmcall
    jmp     user_out
    user    "vmcall", -3
    vmcall
    jmp     user_out
    user    "xsetbv", 13
    xor     %ecx, %ecx
    mov     $3, %eax
    xor     %edx, %edx
    xsetbv
    jmp     user_out
    user    "in", 13
    in      $0x80, %al
    jmp     user_out
    user    "rep outsb", 13
    mov     $0x3F8, %edx
    mov     $5, %ecx
    lea     user_out(%rip), %rsi
    rep outsb
    jmp     user_out
    user    "hlt", 13
    hlt
    jmp     user_out
    user    "rdmsr", 13
    mov     $0x1B, %ecx
    rdmsr
    jmp     user_out
    user    "mov from cr4", 13
    mov     %cr4, %rax
    jmp     user_out
    user    "mov from dr0", 13
    mov     %dr0, %rax
    jmp     user_out
    user    "wbinvd", 13
    wbinvd
    jmp     user_out
    user    "mov from a device", -1
    mov     $0xFEC00000, %eax
    mov     (%rax), %ecx
    jmp     user_out
    user    "movs from a device to the kernel's page", 14
    mov     $0xFEC00000, %esi
    mov     $0x600000, %edi
    movsl
    jmp     user_out
    user    "addps from a device", 6
    mov     $0xFEC00000, %eax
    addps   (%rax), %xmm0
    jmp     user_out
    .section .data.rel.ro.user, "aw"
    .globl user_code_count
user_code_count:
    .quad   (user_code_count - user_codes) / 24

    .bss
    .balign 16
    .globl interrupt_count, debug_count
interrupt_count:
    .space  8
debug_count:
    .space  8
kernel_rsp:
    .space  8
    .space  2048
    .balign 16
user_stack_end:
    .section .note.GNU-stack, "", %progbits
