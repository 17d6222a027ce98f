/* SPDX-License-Identifier: Apache-2.0 */
/* The riscv64 image (linker/image.ld.S): the RISC-V Image header first; it runs wherever it is loaded. */
#include "linker/riscv64.h"

#define IMAGE_FORMAT "elf64-littleriscv"
#define IMAGE_ENTRY image_header
#define TEXT_HEAD KEEP(*(.head))
#define RODATA_HEAD
#define RODATA_TABLES TABLE(trap_fixups)
#define LOAD(section)
#define MORE_PHDRS
#define BSS_ALIGN ALIGN(64)
#define BSS_PHDR :data
#define DISCARDED *(.riscv.attributes)
#define CHECKS
#include "linker/image.ld.S"
