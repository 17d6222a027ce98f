/* SPDX-License-Identifier: Apache-2.0 */
/* The aarch64 image (linker/image.ld.S): the arm64 Image header first, and in the same page what runs while the MMU is turned
 * on; it runs wherever it is loaded. */
#include "linker/sections.h"

#define IMAGE_FORMAT "elf64-littleaarch64"
#define IMAGE_ENTRY image_header
#define TEXT_HEAD idmap_start = .; KEEP(*(.head)) *(.idmap) idmap_end = .; . = ALIGN(2048);
#define RODATA_HEAD
#define RODATA_TABLES
#define LOAD(section)
#define MORE_PHDRS
#define BSS_ALIGN ALIGN(64)
#define BSS_PHDR :data
#define DISCARDED *(.ARM.*)
#define CHECKS ASSERT(idmap_end - idmap_start <= 4096, "the identity-mapped code must fit one page")
#include "linker/image.ld.S"
