/* SPDX-License-Identifier: Apache-2.0 */
/* The aarch64 image: text, read-only data, embedded guests, data; each at its own pages, since each has its own permissions. */
#include "linker/sections.h"

OUTPUT_FORMAT("elf64-littleaarch64")
ENTRY(image_header)

PHDRS
{
    text PT_LOAD FLAGS(5);
    rodata PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
}

SECTIONS
{
    . = IMAGE_VA;
    image_start = .;
    .text : {
        idmap_start = .;
        KEEP(*(.head))
        *(.idmap)
        idmap_end = .;
        . = ALIGN(2048);
        *(.vectors)
        *(.text .text.*)
    } :text
    . = ALIGN(4096);
    text_end = .;

    .rodata : {
        *(.rodata .rodata.*)
        . = ALIGN(8);
        __start_drivers = .;
        KEEP(*(drivers))
        __stop_drivers = .;
        __start_shell_commands = .;
        KEEP(*(shell_commands))
        __stop_shell_commands = .;
        __start_selftests = .;
        KEEP(*(selftests))
        __stop_selftests = .;
        embed_table = .;
        KEEP(*(.embed_table))
        embed_table_end = .;
        . = ALIGN(8);
    } :rodata
    .lodge_symbols : {
        KEEP(*(.lodge_symbols))
    } :rodata
    rodata_end = .;
    .embed : ALIGN(4096) {
        KEEP(*(.embed .embed.*))
        . = ALIGN(4096);
    } :rodata
    . = ALIGN(4096);
    readonly_end = .;

    .data.ro_after_init : {
        ro_after_init_start = .;
        *(.ro_after_init)
        . = ALIGN(4096);
        ro_after_init_end = .;
    } :data
    .data : {
        *(.data .data.*)
        . = ALIGN(16);
    } :data
    file_end = .;
    .bss (NOLOAD) : ALIGN(64) {
        bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(64);
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
    } :data
    image_end = .;
    image_size = image_end - image_start;
    image_file_size = file_end - image_start;

    /DISCARD/ : { *(.comment) *(.note*) *(.eh_frame*) *(.ARM.*) }
    ASSERT(idmap_end - idmap_start <= 4096, "the identity-mapped code must fit one page")
}
