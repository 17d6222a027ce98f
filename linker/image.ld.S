/* SPDX-License-Identifier: Apache-2.0 */
/* The image of every architecture: text, read-only data, embedded guests, data; each at its own pages, since each has its own
 * permissions. Included by linker/<arch>.ld.S, which says before what differs:
 *   IMAGE_FORMAT, IMAGE_ENTRY     the ELF's
 *   TEXT_HEAD                     what comes first: headers that boot loaders look for, the code that they enter
 *   RODATA_HEAD, RODATA_TABLES    sections before .rodata, tables in it that only this architecture has
 *   LOAD(section)                 where it is loaded, when that is not where it runs
 *   MORE_PHDRS, BSS_PHDR          further segments, the one that .bss is in
 *   DISCARDED, CHECKS             sections that are dropped, assertions */

#define TABLE(name) __start_##name = .; KEEP(*(name)) __stop_##name = .;

OUTPUT_FORMAT(IMAGE_FORMAT)
ENTRY(IMAGE_ENTRY)

PHDRS
{
    text PT_LOAD FLAGS(5);
    rodata PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
    MORE_PHDRS
}

SECTIONS
{
    . = IMAGE_VA;
    image_start = .;
    .text : LOAD(.text) {
        TEXT_HEAD
        *(.vectors)
        *(.text .text.*)
    } :text
    . = ALIGN(4096);
    text_end = .;

    RODATA_HEAD
    .rodata : LOAD(.rodata) {
        *(.rodata .rodata.* .srodata .srodata.*)
        . = ALIGN(8);
        TABLE(drivers)
        TABLE(shell_commands)
        TABLE(selftests)
        RODATA_TABLES
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
        *(.data .data.* .sdata .sdata.*)
        . = ALIGN(16);
    } :data
    file_end = .;
    .bss (NOLOAD) : LOAD(.bss) BSS_ALIGN {
        bss_start = .;
        *(.sbss .sbss.* .bss .bss.* COMMON)
        . = ALIGN(64);
        bss_end = .;
        /* Not cleared at boot: what is made for that, stacks (upper half of an aligned slot; the lower half stays unmapped)
         * and page tables. */
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
    } BSS_PHDR
    image_end = .;
    image_size = image_end - image_start;
    image_file_size = file_end - image_start;

    /DISCARD/ : { *(.comment) *(.note*) *(.eh_frame*) DISCARDED }
    CHECKS
}
