// SPDX-License-Identifier: Apache-2.0
//
// Places kernel, device tree and initrd, in that order, each checked against RAM and against those before it.
#include "vmm/loader/layout.h"

#include <stdio.h>
#include <string.h>

#include "kernel/lib/range.h"

#define FDT_WINDOW MIB(512)
#define INITRD_WINDOW GIB(32) // Linux: kernel and initrd within 32 GiB, counted from a 1 GiB boundary
#define INITRD_WINDOW_ALIGN GIB(1)

static const struct plan_region *ram_holding(const struct vm_plan *plan, uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];
        if (r->kind == REGION_RAM && range_contains(r->base, r->size, base, size)) {
            return r;
        }
    }
    return NULL;
}

// "0x40000000-0x4fffffff, ..." for messages.
static const char *describe_ram(const struct vm_plan *plan, char *text, size_t size)
{
    size_t used = 0;

    text[0] = 0;
    for (unsigned i = 0; i < plan->region_count && used < size; i++) {
        const struct plan_region *r = &plan->regions[i];
        if (r->kind == REGION_RAM && r->size) {
            int n = snprintf(text + used, size - used, "%s0x%llx-0x%llx", used ? ", " : "",
                             (unsigned long long)r->base, (unsigned long long)(r->base + (r->size - 1)));
            used += n > 0 ? (size_t)n : 0;
        }
    }
    return used ? text : "none";
}

static enum status too_big(const struct vm_plan *plan, const char *what, uint64_t size,
                           struct load_error *error)
{
    char ram[96];

    return load_fail(error, E_NOMEM, "%s of %llu KiB does not fit in the guest's RAM (%s): raise vm.memory",
                     what, (unsigned long long)((size >> 10) + ((size & 1023) != 0)),
                     describe_ram(plan, ram, sizeof(ram)));
}

static enum status place_kernel(const struct vm_plan *plan, struct image *image, struct layout *out,
                                struct load_error *error)
{
    char ram[96];

    out->kernel_size = image->span;
    if (image->fixed) {
        if (!ram_holding(plan, image->base, image->span)) {
            return load_fail(error, E_RANGE, "wants %llu KiB at 0x%llx, which is not RAM of this guest (%s)",
                             (unsigned long long)(image->span >> 10), (unsigned long long)image->base,
                             describe_ram(plan, ram, sizeof(ram)));
        }
        out->kernel = image->base;
        return OK;
    }
    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];
        uint64_t base;

        if (r->kind == REGION_RAM && add_checked(r->base, image->align - 1, &base) &&
            add_checked(align_down(base, image->align), image->offset, &base) &&
            range_contains(r->base, r->size, base, image->span)) {
            out->kernel = image->base = base;
            return OK;
        }
    }
    return too_big(plan, "a kernel", image->span, error);
}

static bool is_free(const struct layout *l, uint64_t base, uint64_t size)
{
    return !range_overlaps(base, size, l->kernel, l->kernel_size) &&
           !(l->fdt && range_overlaps(base, size, l->fdt, l->fdt_size));
}

// The highest place of the region inside the kernel's window, above the kernel; else below it.
static bool fdt_high(const struct plan_region *r, struct layout *l, uint64_t align)
{
    uint64_t window = align_down(l->kernel, FDT_WINDOW);
    uint64_t low = max_u64(r->base, window);
    // Last bytes, so that ends at 2^64 do not wrap.
    uint64_t last = min_u64(r->base + (r->size - 1), window + (FDT_WINDOW - 1));
    const uint64_t limits[] = {last, l->kernel - 1};

    for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
        uint64_t base;

        if ((i == 1 && l->kernel <= low) || limits[i] - low < l->fdt_size - 1) {
            continue;
        }
        base = align_down(limits[i] - l->fdt_size + 1, align);
        if (base >= low && base != 0 && !range_overlaps(base, l->fdt_size, l->kernel, l->kernel_size)) {
            l->fdt = base;
            return true;
        }
    }
    return false;
}

static enum status place_fdt(const struct vm_plan *plan, const struct image *image, struct layout *l,
                             struct load_error *error)
{
    const struct plan_region *r = ram_holding(plan, l->kernel, l->kernel_size);

    l->fdt = 0;
    if (l->fdt_size == 0) {
        return OK;
    }
    if (image->firmware_fdt && r->base != 0 && is_aligned(r->base, 8) && l->kernel - r->base >= l->fdt_size) {
        l->fdt = r->base;
        return OK;
    }
    if (fdt_high(r, l, BLOCK_SIZE) || fdt_high(r, l, PAGE_SIZE)) {
        return OK;
    }
    return too_big(plan, "the device tree beside a kernel", l->fdt_size, error);
}

static bool try_initrd(const struct vm_plan *plan, struct layout *l, uint64_t at, uint64_t align)
{
    uint64_t window = align_down(l->kernel, INITRD_WINDOW_ALIGN);
    uint64_t base;

    if (!add_checked(at, align - 1, &base)) {
        return false;
    }
    base = align_down(base, align);
    if (base == 0 || base < window || !range_contains(0, INITRD_WINDOW, base - window, l->initrd_size) ||
        !ram_holding(plan, base, l->initrd_size) || !is_free(l, base, l->initrd_size)) {
        return false;
    }
    l->initrd = base;
    return true;
}

static enum status place_initrd(const struct vm_plan *plan, struct layout *l, struct load_error *error)
{
    static const uint64_t aligns[] = {BLOCK_SIZE, PAGE_SIZE};

    if (l->initrd_size == 0) {
        return OK;
    }
    for (unsigned a = 0; a < ARRAY_SIZE(aligns); a++) {
        if (try_initrd(plan, l, l->kernel + l->kernel_size, aligns[a]) ||
            try_initrd(plan, l, l->fdt + l->fdt_size, aligns[a])) {
            return OK;
        }
        for (unsigned i = 0; i < plan->region_count; i++) {
            if (try_initrd(plan, l, plan->regions[i].base, aligns[a])) {
                return OK;
            }
        }
    }
    return too_big(plan, "an initrd beside the kernel", l->initrd_size, error);
}

enum status layout_build(const struct vm_plan *plan, struct image *image, struct layout *out,
                         struct load_error *error)
{
    enum status st = place_kernel(plan, image, out, error);

    if (st == OK) {
        st = place_fdt(plan, image, out, error);
    }
    return st == OK ? place_initrd(plan, out, error) : st;
}
