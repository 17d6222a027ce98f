// SPDX-License-Identifier: Apache-2.0
//
// From the boot loader to C. Two doors, both in 32-bit protected mode without paging: Multiboot2 (specification 2.0, 3.1 and
// 3.3; GRUB) and PVH (Xen's docs/misc/pvh.pandoc; QEMU -kernel). A first set of page tables shows the lowest GiB where it is
// and at the image's window; boot_main() replaces it by one with the image's final permissions.
#include <asm-offsets.h>
#include <asm/regs.h>

#include "linker/x86_64.h"

#define MULTIBOOT2_MAGIC 0xE85250D6
#define MULTIBOOT2_LOADED 0x36D76289
#define TAG_ENTRY 3
#define TAG_MODULE_ALIGN 6
#define PVH_NOTE 18 // XEN_ELFNOTE_PHYS32_ENTRY

#define BOOT_MULTIBOOT2 2 // enum boot_protocol
#define BOOT_PVH 1

#define PTE_TABLE 0x3     // present, writable
#define PTE_BLOCK 0x83    // and 2 MiB
#define CPUID_LONG_MODE 29
#define CPUID_NX 20

    .section .head, "ax"
    .balign 8
.Lmultiboot2_header:
    .long   MULTIBOOT2_MAGIC, 0, .Lmultiboot2_end - .Lmultiboot2_header
    .long   -(MULTIBOOT2_MAGIC + (.Lmultiboot2_end - .Lmultiboot2_header))
    .short  TAG_ENTRY, 0
    .long   12, entry_pa
    .balign 8
    .short  TAG_MODULE_ALIGN, 0
    .long   8
    .short  0, 0
    .long   8
.Lmultiboot2_end:

    .section .note.pvh, "a", @note
    .balign 4
    .long   4, 8, PVH_NOTE
    .asciz  "Xen"
    .quad   pvh_entry_pa

    .section .head, "ax"
    .code32
    .global boot_entry, pvh_entry
boot_entry:
    cmp     $MULTIBOOT2_LOADED, %eax
    mov     $BOOT_MULTIBOOT2, %ebp
    je      .Lloaded
    mov     $0, %ebp
    jmp     .Lloaded
    .balign 2
pvh_entry:
    mov     $BOOT_PVH, %ebp
// ebx (then esi): what the loader tells, ebp: how it came.
    .balign 2
.Lloaded:
    cli
    cld
    mov     %ebx, %esi
    mov     $boot_stack_top_pa, %esp
    mov     $bss_start_pa, %edi
    mov     $bss_end_pa, %ecx
    sub     %edi, %ecx
    shr     $2, %ecx
    xor     %eax, %eax
    rep stosl
    mov     $0x80000000, %eax
    cpuid
    cmp     $0x80000001, %eax
    jb      .Lno_long_mode
    mov     $0x80000001, %eax
    cpuid
    bt      $CPUID_LONG_MODE, %edx
    jnc     .Lno_long_mode
    bt      $CPUID_NX, %edx
    jnc     .Lno_long_mode

// Root, a table for each half, one directory of 2 MiB pages for both.
    mov     $boot_tables_pa, %edi
    mov     $(4 * 4096 / 4), %ecx
    xor     %eax, %eax
    rep stosl
    mov     $boot_tables_pa, %edi
    lea     (4096 + PTE_TABLE)(%edi), %eax
    mov     %eax, (%edi)                        // lowest 512 GiB
    lea     (2 * 4096 + PTE_TABLE)(%edi), %eax
    mov     %eax, (511 * 8)(%edi)               // highest
    lea     (3 * 4096 + PTE_TABLE)(%edi), %eax
    mov     %eax, 4096(%edi)
    mov     %eax, (2 * 4096 + 510 * 8)(%edi)    // 2 GiB below the end
    mov     $PTE_BLOCK, %eax
    lea     (3 * 4096)(%edi), %edx
1:  mov     %eax, (%edx)
    add     $0x200000, %eax
    add     $8, %edx
    cmp     $IMAGE_WINDOW, %eax
    jb      1b

    mov     %edi, %cr3
    mov     $CR4_PAE, %eax
    mov     %eax, %cr4
    mov     $MSR_EFER, %ecx
    rdmsr
    or      $(EFER_LME | EFER_NXE), %eax
    wrmsr
    mov     $(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG), %eax
    mov     %eax, %cr0
    lgdt    .Lboot_gdt_pointer - (IMAGE_VA - IMAGE_PA)
    ljmp    $SEL_CODE, $(boot_long - (IMAGE_VA - IMAGE_PA))

// Says so on the first serial port, which the firmware may or may not have set up.
    .balign 2
.Lno_long_mode:
    mov     $(.Lno_long_mode_text - (IMAGE_VA - IMAGE_PA)), %esi
    mov     $0x3F8, %edx
2:  lodsb
    test    %al, %al
    jz      3f
    out     %al, %dx
    jmp     2b
3:  hlt
    jmp     3b
.Lno_long_mode_text:
    .asciz  "\r\nLodge: this CPU has no 64-bit mode with execute protection.\r\n"

    .balign 8
    .global boot_gdt
boot_gdt:
    .quad   0, GDT_CODE, GDT_DATA
.Lboot_gdt_pointer:
    .short  . - boot_gdt - 1
    .long   boot_gdt - (IMAGE_VA - IMAGE_PA)

    .code64
    .balign 2
boot_long:
    mov     $SEL_DATA, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    movabs  $boot_virtual, %rax
    jmp     *%rax

    .text
    .balign 2
boot_virtual:
    lea     boot_stack_top(%rip), %rsp
    mov     %ebp, %edi
    xor     %ebp, %ebp      // end of the frame-pointer chain
    push    %rbp
    jmp     boot_main

// Other CPUs: from the trampoline, in long mode on the trampoline's tables, rdi = struct secondary_boot.
    .global secondary_virtual
    .balign 2
secondary_virtual:
    mov     SECONDARY_CR3(%rdi), %rax
    mov     %rax, %cr3
    mov     SECONDARY_STACK(%rdi), %rsp
    mov     SECONDARY_INDEX(%rdi), %edi
    xor     %ebp, %ebp
    push    %rbp
    jmp     kernel_secondary_main

// The trampoline, copied to TRAMPOLINE_PA: a CPU that got INIT and SIPI starts at its first byte in real mode.
    .section .rodata.trampoline, "a"
    .balign 16
    .global trampoline_start, trampoline_end, trampoline_args
#define HERE(label) (TRAMPOLINE_PA + (label - trampoline_start))
    .code16
trampoline_start:
    cli
    cld
    xor     %ax, %ax
    mov     %ax, %ds
    lgdtl   HERE(trampoline_gdt_pointer)
    mov     $CR0_PE, %eax
    mov     %eax, %cr0
    ljmpl   $SEL_CODE32, $HERE(trampoline_32)
    .code32
trampoline_32:
    mov     $SEL_DATA, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     HERE(trampoline_args), %eax     // page tables: this page where it is, and the image
    mov     %eax, %cr3
    mov     $CR4_PAE, %eax
    mov     %eax, %cr4
    mov     $MSR_EFER, %ecx
    rdmsr
    or      $(EFER_LME | EFER_NXE), %eax
    wrmsr
    mov     $(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG), %eax
    mov     %eax, %cr0
    ljmp    $SEL_CODE, $HERE(trampoline_64)
    .code64
trampoline_64:
    mov     (HERE(trampoline_args) + 8), %rdi
    mov     (HERE(trampoline_args) + 16), %rax
    jmp     *%rax
    .balign 8
trampoline_gdt:
    .quad   0, GDT_CODE, GDT_DATA, GDT_CODE32
trampoline_gdt_pointer:
    .short  . - trampoline_gdt - 1
    .long   HERE(trampoline_gdt)
    .balign 8
trampoline_args:            // struct trampoline_args
    .quad   0, 0, 0
trampoline_end:
