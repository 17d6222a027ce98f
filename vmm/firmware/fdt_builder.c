// SPDX-License-Identifier: Apache-2.0
//
// A thin layer over libfdt's sequential-write functions whose first error sticks: it is looked at once, at
// the end.
#include "vmm/firmware/fdt_builder.h"

#include <stdio.h>
#include <string.h>

void tree_note(struct fdt_builder *b, int error)
{
    if (b->error == 0 && error < 0) {
        b->error = error;
    }
}

void tree_begin(struct fdt_builder *b, const char *name)
{
    tree_note(b, b->error ? 0 : fdt_begin_node(b->fdt, name));
}

void tree_begin_at(struct fdt_builder *b, const char *name, uint64_t address)
{
    char full[64];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    tree_begin(b, full);
}

void tree_end(struct fdt_builder *b)
{
    tree_note(b, b->error ? 0 : fdt_end_node(b->fdt));
}

void tree_put_bytes(struct fdt_builder *b, const char *name, const void *data, size_t len)
{
    tree_note(b, b->error ? 0 : fdt_property(b->fdt, name, data, (int)len));
}

void tree_put_flag(struct fdt_builder *b, const char *name)
{
    tree_put_bytes(b, name, NULL, 0);
}

void tree_put_text(struct fdt_builder *b, const char *name, const char *text)
{
    tree_put_bytes(b, name, text, strlen(text) + 1);
}

void tree_put_u32(struct fdt_builder *b, const char *name, uint32_t v)
{
    tree_note(b, b->error ? 0 : fdt_property_u32(b->fdt, name, v));
}

void tree_put_u64(struct fdt_builder *b, const char *name, uint64_t v)
{
    tree_note(b, b->error ? 0 : fdt_property_u64(b->fdt, name, v));
}

void tree_put_cells(struct fdt_builder *b, const char *name, const uint32_t *cells, unsigned count)
{
    void *place = NULL;

    if (count > TREE_CELLS_MAX) {
        tree_note(b, -FDT_ERR_NOSPACE);
        return;
    }
    tree_note(b,
              b->error ? 0 : fdt_property_placeholder(b->fdt, name, (int)(count * sizeof(fdt32_t)), &place));
    for (unsigned i = 0; i < count && !b->error; i++) {
        fdt32_st((fdt32_t *)place + i, cells[i]);
    }
}

// Pairs of (base, size), each two cells.
void tree_put_reg(struct fdt_builder *b, const uint64_t *values, unsigned count)
{
    fdt64_t out[8];

    for (unsigned i = 0; i < count && i < ARRAY_SIZE(out); i++) {
        out[i] = cpu_to_fdt64(values[i]);
    }
    tree_put_bytes(b, "reg", out, count * sizeof(out[0]));
}
