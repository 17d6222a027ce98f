// SPDX-License-Identifier: Apache-2.0
//
// Where kernel, initrd and device tree go in a guest's RAM. Pure.
//
// Kernel low in the first RAM that holds it; the device tree at the start of that RAM for firmware and raw guests where
// the image leaves room, else as high as possible in the kernel's 512 MiB window, in which an arm64 kernel maps it
// early; the initrd behind the kernel. Nothing overlaps, nothing leaves RAM, nothing is at address 0 that is passed as
// a pointer.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/config/plan.h"
#include "vmm/loader/image.h"

struct layout {
    uint64_t kernel, kernel_size;
    uint64_t initrd, initrd_size; // size 0: none
    uint64_t fdt, fdt_size;       // capacity reserved for it
};

// `out->initrd_size` and `out->fdt_size` (0: none is wanted) are inputs. `image->base` is set. E_NOMEM when it does not fit, explained.
enum status layout_build(const struct vm_plan *plan, struct image *image, struct layout *out,
                         struct load_error *error);
