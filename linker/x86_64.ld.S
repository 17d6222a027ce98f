/* SPDX-License-Identifier: Apache-2.0 */
/* The x86_64 image (linker/image.ld.S): one ELF64 with a Multiboot2 header (which must lie in the file's first 32 KiB) and a
 * PVH note. Linked to high addresses, loaded to low ones; .bss is a segment of its own, so that its alignment does not move the
 * text in the file. */
#include "linker/x86_64.h"

#define OFFSET (IMAGE_VA - IMAGE_PA)
#define LOAD(section) AT(ADDR(section) - OFFSET)

#define IMAGE_FORMAT "elf64-x86-64"
#define IMAGE_ENTRY boot_entry
#define TEXT_HEAD KEEP(*(.head))
#define RODATA_HEAD .note.pvh : LOAD(.note.pvh) { KEEP(*(.note.pvh)) } :rodata :note
#define RODATA_TABLES
#define MORE_PHDRS bss PT_LOAD FLAGS(6); note PT_NOTE FLAGS(4);
#define BSS_ALIGN ALIGN(4096)
#define BSS_PHDR :bss
#define DISCARDED
#define CHECKS
#include "linker/image.ld.S"

/* The same places before paging. */
entry_pa = ABSOLUTE(boot_entry - OFFSET);
pvh_entry_pa = ABSOLUTE(pvh_entry - OFFSET);
bss_start_pa = ABSOLUTE(bss_start - OFFSET);
bss_end_pa = ABSOLUTE(bss_end - OFFSET);
boot_stack_top_pa = ABSOLUTE(boot_stack_top - OFFSET);
boot_tables_pa = ABSOLUTE(early_tables_start - OFFSET);
