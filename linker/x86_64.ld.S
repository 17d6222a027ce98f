/* SPDX-License-Identifier: Apache-2.0 */
/* The x86_64 image: one ELF64 with a Multiboot2 header (which must lie in the file's first 32 KiB) and a PVH note. Linked to
 * high addresses, loaded to low ones; .bss is a segment of its own, so that its alignment does not move the text in the file. */
#include "linker/x86_64.h"

#define OFFSET (IMAGE_VA - IMAGE_PA)
#define LOAD(section) AT(ADDR(section) - OFFSET)

OUTPUT_FORMAT("elf64-x86-64")
ENTRY(boot_entry)

PHDRS
{
    text PT_LOAD FLAGS(5);
    rodata PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
    bss PT_LOAD FLAGS(6);
    note PT_NOTE FLAGS(4);
}

SECTIONS
{
    . = IMAGE_VA;
    image_start = .;
    .text : LOAD(.text) {
        KEEP(*(.head))
        *(.vectors)
        *(.text .text.*)
        . = ALIGN(4096);
    } :text
    text_end = .;

    .note.pvh : LOAD(.note.pvh) {
        KEEP(*(.note.pvh))
    } :rodata :note
    .rodata : LOAD(.rodata) {
        *(.rodata .rodata.*)
        . = ALIGN(8);
        __start_drivers = .;
        KEEP(*(drivers))
        __stop_drivers = .;
        __start_selftests = .;
        KEEP(*(selftests))
        __stop_selftests = .;
        embed_table = .;
        KEEP(*(.embed_table))
        embed_table_end = .;
        . = ALIGN(8);
    } :rodata
    .lodge_symbols : LOAD(.lodge_symbols) {
        KEEP(*(.lodge_symbols))
    } :rodata
    rodata_end = .;
    .embed : LOAD(.embed) ALIGN(4096) {
        KEEP(*(.embed .embed.*))
        . = ALIGN(4096);
    } :rodata
    . = ALIGN(4096);
    readonly_end = .;

    .data.ro_after_init : LOAD(.data.ro_after_init) {
        ro_after_init_start = .;
        *(.ro_after_init)
        . = ALIGN(4096);
        ro_after_init_end = .;
    } :data
    .data : LOAD(.data) {
        *(.data .data.*)
        . = ALIGN(16);
    } :data
    file_end = .;
    .bss (NOLOAD) : LOAD(.bss) ALIGN(4096) {
        bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(16);
        bss_end = .;
        /* Not cleared at boot: what is made for that, stacks (upper half of an aligned slot; the lower half stays unmapped) and page tables. */
        *(.noinit .noinit.*)
        . = ALIGN(2 * BOOT_STACK_SIZE);
        boot_stack_guard = .;
        . += BOOT_STACK_SIZE;
        boot_stack_bottom = .;
        . += BOOT_STACK_SIZE;
        boot_stack_top = .;
        panic_stack_bottom = .;
        . += BOOT_STACK_SIZE;
        panic_stack_top = .;
        early_tables_start = .;
        . += EARLY_TABLES * 4096;
        early_tables_end = .;
    } :bss
    image_end = .;

    /DISCARD/ : { *(.comment) *(.note.GNU-stack) *(.note.gnu*) *(.eh_frame*) }
}

/* The same places before paging. */
entry_pa = ABSOLUTE(boot_entry - OFFSET);
pvh_entry_pa = ABSOLUTE(pvh_entry - OFFSET);
bss_start_pa = ABSOLUTE(bss_start - OFFSET);
bss_end_pa = ABSOLUTE(bss_end - OFFSET);
boot_stack_top_pa = ABSOLUTE(boot_stack_top - OFFSET);
boot_tables_pa = ABSOLUTE(early_tables_start - OFFSET);
