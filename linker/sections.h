/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that the linker scripts and the boot code of an architecture agree on. */
#pragma once

#define IMAGE_VA 0x600000000000    /* where the image runs, whatever its load address */
#define VMAP_VA 0x680000000000     /* device registers, stacks */
#define VMAP_SIZE 0x10000000000    /* 1 TiB */
#define DIRECT_VA 0x400000000000   /* physical address 0 of the direct map */
#define DIRECT_SIZE 0x200000000000 /* 32 TiB */
#define BOOT_STACK_SIZE 0x4000
#define EARLY_TABLES 64 /* page-table pages for the image, the direct map and early devices */
