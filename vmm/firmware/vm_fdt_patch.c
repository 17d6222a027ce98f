// SPDX-License-Identifier: Apache-2.0
//
// Completes a user's own device tree: memory, chosen, initrd.
//
// The blob is hostile: its size is bounded and libfdt's full check runs before anything else looks at it. The /chosen
// and memory nodes are removed from the copy and written anew, so nothing stale remains.
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "vmm/firmware/fdt_internal.h"
#include "vmm/firmware/vm_fdt.h"

#define MEMORY_NODE_MAX 64 // more memory nodes than this in a user's tree are refused

// A (base, size) pair with the root's cell counts; the number of bytes, negative when a value does not fit.
static int encode_reg(const void *fdt, uint8_t out[16], uint64_t base, uint64_t size)
{
    const int cells[2] = {fdt_address_cells(fdt, 0), fdt_size_cells(fdt, 0)};
    const uint64_t values[2] = {base, size};
    int len = 0;

    for (unsigned i = 0; i < 2; i++) {
        if (cells[i] == 2) {
            fdt64_st(out + len, values[i]);
        } else if (cells[i] == 1 && values[i] <= UINT32_MAX) {
            fdt32_st(out + len, (uint32_t)values[i]);
        } else {
            return -FDT_ERR_BADNCELLS;
        }
        len += 4 * cells[i];
    }
    return len;
}

static int set_text(void *fdt, int node, const char *name, const char *text)
{
    return fdt_setprop(fdt, node, name, text, (int)strlen(text) + 1);
}

static int remove_memory(void *fdt)
{
    for (unsigned i = 0; i < MEMORY_NODE_MAX; i++) {
        int node = fdt_node_offset_by_prop_value(fdt, -1, "device_type", "memory", sizeof("memory"));
        if (node == -FDT_ERR_NOTFOUND) {
            return 0;
        }
        int error = node < 0 ? node : fdt_del_node(fdt, node);
        if (error) {
            return error;
        }
    }
    return -FDT_ERR_BADSTRUCTURE;
}

static int add_memory(void *fdt, const struct plan_region *r)
{
    char name[32];
    uint8_t reg[16];
    int len = encode_reg(fdt, reg, r->base, r->size);
    int node, error;

    if (len < 0) {
        return len;
    }
    snprintf(name, sizeof(name), "memory@%llx", (unsigned long long)r->base);
    node = fdt_add_subnode(fdt, 0, name);
    if (node < 0) {
        return node;
    }
    error = set_text(fdt, node, "device_type", "memory");
    return error ? error : fdt_setprop(fdt, node, "reg", reg, len);
}

static int patch_memory(const struct vm_fdt_input *in, void *fdt)
{
    int error = remove_memory(fdt);

    for (unsigned i = 0; !error && i < in->plan->region_count; i++) {
        if (in->plan->regions[i].kind == REGION_RAM) {
            error = add_memory(fdt, &in->plan->regions[i]);
        }
    }
    return error;
}

// Drops what an older boot may have left; absent properties are no error.
static int drop_properties(void *fdt, int node)
{
    static const char *const names[] = {"linux,initrd-start", "linux,initrd-end", "kaslr-seed", "rng-seed"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        int error = fdt_delprop(fdt, node, names[i]);
        if (error && error != -FDT_ERR_NOTFOUND) {
            return error;
        }
    }
    return 0;
}

static int patch_chosen(const struct vm_fdt_input *in, void *fdt)
{
    char cmdline[CONFIG_CMDLINE_MAX + 32];
    int node = fdt_path_offset(fdt, "/chosen");
    int error;

    if (node == -FDT_ERR_NOTFOUND) {
        node = fdt_add_subnode(fdt, 0, "chosen");
    }
    error = node < 0 ? node : drop_properties(fdt, node);
    if (!error && (in->config->boot.cmdline[0] || !fdt_getprop(fdt, node, "bootargs", NULL))) {
        error = vm_fdt_cmdline(in, cmdline, sizeof(cmdline)) ? set_text(fdt, node, "bootargs", cmdline)
                                                             : -FDT_ERR_NOSPACE;
    }
    if (!error && in->initrd_size) {
        error = fdt_setprop_u64(fdt, node, "linux,initrd-start", in->initrd_base);
        error =
            error ? error : fdt_setprop_u64(fdt, node, "linux,initrd-end", in->initrd_base + in->initrd_size);
    }
    if (!error && in->seed) {
        error = fdt_setprop(fdt, node, "kaslr-seed", in->seed, 8);
        error = error ? error : fdt_setprop(fdt, node, "rng-seed", in->seed + 8, VM_FDT_SEED_SIZE - 8);
    }
    return error;
}

enum status vm_fdt_patch(const struct vm_fdt_input *in, void *buf, size_t capacity, size_t *size)
{
    int error;

    if (*size < sizeof(struct fdt_header) || *size > VM_FDT_USER_MAX || *size > capacity ||
        capacity > INT32_MAX) {
        return *size > VM_FDT_USER_MAX || capacity > INT32_MAX ? E_RANGE : E_CORRUPT;
    }
    if (fdt_check_full(buf, *size)) {
        return E_CORRUPT;
    }
    error = fdt_open_into(buf, buf, (int)capacity);
    if (!error) {
        error = patch_memory(in, buf);
    }
    if (!error) {
        error = patch_chosen(in, buf);
    }
    if (!error) {
        error = fdt_pack(buf);
    }
    if (error) {
        return fdt_status(error);
    }
    *size = fdt_totalsize(buf);
    return OK;
}
