// SPDX-License-Identifier: Apache-2.0
//
// What a PC guest finds besides its kernel and initrd: firmware tables, command line, and what its boot protocol wants.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/config.h"
#include "vmm/loader/image.h"
#include "vmm/loader/layout.h"

// Checks what the boot protocol asks of the places in `layout`. E_CONFIG, E_RANGE; explained. Pure.
enum status loader_pc_check(const struct vm_plan *plan, const struct image *image,
                            const struct layout *layout, struct load_error *error);

struct loader_pc_input {
    const struct vm_config *config;
    const struct vm_plan *plan;
    const struct image *image;
    const struct layout *layout;
    const uint8_t *seed;           // VM_FDT_SEED_SIZE random bytes for the guest, or NULL
    const struct image_sink *sink; // its bounce buffer has PC_TABLES_CAPACITY bytes or more
};

// Writes all of it; *arg is what the boot vCPU gets. Errors are explained. Worker threads.
enum status loader_pc_write(const struct loader_pc_input *in, uint64_t *arg, struct load_error *error);
