/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that the x86_64 linker script and boot code agree on. The image is linked into the top 2 GiB (-mcmodel=kernel)
 * and loaded where the boot loader is told to put it. There are no user addresses. */
#pragma once

#define IMAGE_PA 0x200000            /* load address */
#define IMAGE_VA 0xFFFFFFFF80200000  /* where it runs */
#define IMAGE_WINDOW 0x40000000      /* the first GiB of physical memory is visible there while booting */
#define VMAP_VA 0x400000000000       /* device registers, stacks */
#define VMAP_SIZE 0x10000000000      /* 1 TiB */
#define DIRECT_VA 0xFFFF800000000000 /* physical address 0 of the direct map */
#define DIRECT_SIZE 0x400000000000   /* 64 TiB */
#define TRAMPOLINE_PA 0x8000         /* where other CPUs leave real mode: a page of the reserved first MiB */
#define BOOT_STACK_SIZE 0x4000
#define EARLY_TABLES 64 /* page-table pages for the image, the direct map and early devices */
