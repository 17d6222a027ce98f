// SPDX-License-Identifier: Apache-2.0
//
// Entry of a tiny guest: 32-bit flat protected mode without paging, ebx = PVH start_info. It maps the lowest 4 GiB one to
// one, goes to 64-bit mode and relocates itself (R_X86_64_RELATIVE, System V psABI 4.4.1): the image runs at whatever
// 4 KiB-aligned address it was put. Further CPUs come from smp.c's page below 1 MiB.

    .equ    LINK_BASE, 0x100000     // guest.ld checks it
    .equ    INFO_END, 56            // of start_info; its last word is reserved: our first stack
    .equ    CR4_BITS, 0x620         // PAE, OSFXSR, OSXMMEXCPT
    .equ    CR0_BITS, 0x80000033    // PG, NE, ET, MP, PE
    .equ    MSR_EFER, 0xC0000080
    .equ    EFER_LME, 0x100

    .section .text.start, "ax"
    .code32
    .globl _start
_start:
    .byte   0x0F, 0x1F, 0x40, 0x64  // nopl 0x64(%eax): for tools/bench_plugin
    cli
    cld
    rdtsc
    mov     %eax, %esi
    mov     %edx, %edi
    lea     INFO_END(%ebx), %esp
    call    1f
1:  pop     %ebp
    sub     $(1b - _start), %ebp    // where we are

    // Four tables of 2 MiB pages below one PDPT below one PML4.
    lea     (pml4 - _start)(%ebp), %ecx
    lea     0x1003(%ecx), %eax
    mov     %eax, (%ecx)
    lea     0x2003(%ecx), %eax
    mov     %eax, 0x1000(%ecx)
    add     $0x1000, %eax
    mov     %eax, 0x1008(%ecx)
    add     $0x1000, %eax
    mov     %eax, 0x1010(%ecx)
    add     $0x1000, %eax
    mov     %eax, 0x1018(%ecx)
    mov     $0x83, %eax
    xor     %edx, %edx
2:  mov     %eax, 0x2000(%ecx, %edx, 8)
    add     $0x200000, %eax
    inc     %edx
    cmp     $2048, %edx
    jne     2b

    mov     %ecx, %cr3
    lea     (gdt - _start)(%ebp), %eax
    lea     (gdt_pointer - _start)(%ebp), %edx
    mov     %eax, 2(%edx)
    lgdt    (%edx)
    mov     $CR4_BITS, %eax
    mov     %eax, %cr4
    mov     $MSR_EFER, %ecx
    rdmsr
    or      $EFER_LME, %eax
    wrmsr
    mov     $CR0_BITS, %eax
    mov     %eax, %cr0
    lea     (stack_end - _start)(%ebp), %esp
    lea     (start64 - _start)(%ebp), %eax
    push    $8
    push    %eax
    lret

    .code64
start64:
    mov     $16, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     %ebx, %ebx
    lea     stack_end(%rip), %rsp
    mov     %esi, %esi
    shl     $32, %rdi
    or      %rsi, %rdi              // the counter at the first instruction

    // The difference between where we run and where we were linked.
    lea     _start(%rip), %rdx
    sub     $LINK_BASE, %rdx
    lea     rela_start(%rip), %rax
    lea     rela_end(%rip), %rcx
3:  cmp     %rcx, %rax
    jae     4f
    mov     (%rax), %r8             // r_offset
    mov     16(%rax), %r9           // r_addend
    cmpl    $8, 8(%rax)             // R_X86_64_RELATIVE
    lea     24(%rax), %rax
    jne     3b
    add     %rdx, %r9
    mov     %r9, (%r8, %rdx)
    jmp     3b

4:  mov     %rdi, entry_ticks(%rip)
    lea     gdt(%rip), %rax
    mov     %eax, ap_gdt + 2(%rip)
    lea     pml4(%rip), %rax
    mov     %eax, ap_cr3(%rip)
    lea     ap_start64(%rip), %rax
    mov     %eax, ap_far(%rip)
    mov     %rbx, %rdi
    xor     %ebp, %ebp
    call    guest_start
5:  hlt
    jmp     5b

// Where a start-up message lets a CPU begin: copied to a page below 1 MiB, real mode, cs = that page. start64
// puts the addresses in.
    .code16
    .balign 16
    .globl ap_page
ap_page:
    cli
    mov     %cs, %ax
    mov     %ax, %ds
    lgdtl   ap_gdt - ap_page
    mov     $CR4_BITS, %eax
    mov     %eax, %cr4
    movl    ap_cr3 - ap_page, %eax
    mov     %eax, %cr3
    mov     $MSR_EFER, %ecx
    rdmsr
    or      $EFER_LME, %eax
    wrmsr
    mov     $CR0_BITS, %eax
    mov     %eax, %cr0
    ljmpl   *(ap_far - ap_page)
ap_gdt:
    .word   gdt_pointer - gdt - 1
    .long   0
ap_cr3:
    .long   0
ap_far:
    .long   0
    .word   8
    .globl ap_page_end
ap_page_end:

    .code64
ap_start64:
    mov     $16, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $1, %eax
    cpuid
    shr     $24, %ebx               // APIC ID
    lea     ap_starts(%rip), %rax
    mov     (%rax, %rbx, 8), %rdi
    mov     (%rdi), %rsp
    xor     %ebp, %ebp
    call    ap_main
6:  hlt
    jmp     6b

    .macro push_all
    push    %rax
    push    %rbx
    push    %rcx
    push    %rdx
    push    %rsi
    push    %rdi
    push    %rbp
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    .endm

trap_entry:
    push_all
    cld
    mov     %rsp, %rdi
    call    guest_trap
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rbp
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %rcx
    pop     %rbx
    pop     %rax
    add     $16, %rsp               // vector, error code
    iretq

    // One stub for each vector. Exceptions 8, 10 to 14, 17, 21, 29 and 30 bring an error code.
    .altmacro
    .macro stub n
    .balign 16
stub_\n:
    .if     (0x60227D00 >> \n) & 1
    .else
    push    $0
    .endif
    push    $\n
    jmp     trap_entry
    .endm
    .set    i, 0
    .rept   64
    stub    %i
    .set    i, i + 1
    .endr

    .section .data.rel.ro.stubs, "aw"
    .balign 8
    .globl trap_stubs
trap_stubs:
    .macro stub_address n
    .quad   stub_\n
    .endm
    .set    i, 0
    .rept   64
    stub_address %i
    .set    i, i + 1
    .endr

    .data
    .balign 8
gdt:
    .quad   0
    .quad   0x00AF9B000000FFFF      // 64-bit code
    .quad   0x00CF93000000FFFF
gdt_pointer:
    .word   gdt_pointer - gdt - 1
    .quad   gdt

    .section .bss.tables, "aw", %nobits
    .balign 4096
    .globl pml4
pml4:
    .space  6 * 4096

    .section .bss.stack, "aw", %nobits
    .balign 16
    .space  16384
stack_end:
    .section .note.GNU-stack, "", %progbits
