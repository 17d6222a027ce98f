/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that the riscv64 linker script and boot code agree on: all within the lower half of Sv39, but for the large
 * direct map of Sv48. */
#pragma once

#define IMAGE_VA 0x3000000000         /* where the image runs, whatever its load address */
#define VMAP_VA 0x3400000000          /* device registers, stacks */
#define VMAP_SIZE 0x800000000         /* 32 GiB */
#define DIRECT_VA_SV39 0x1000000000   /* physical address 0 of the direct map */
#define DIRECT_SIZE_SV39 0x2000000000 /* 128 GiB */
#define DIRECT_VA_SV48 0x400000000000
#define DIRECT_SIZE_SV48 0x200000000000 /* 32 TiB */
#define BOOT_STACK_SIZE 0x4000
#define EARLY_TABLES 64 /* page-table pages for the image, the direct map and early devices */
