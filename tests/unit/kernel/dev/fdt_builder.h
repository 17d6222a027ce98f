// SPDX-License-Identifier: Apache-2.0
//
// Builds a device tree in a static buffer with libfdt's sequential writer. For tests; include after
// <cmocka.h>.
#pragma once

#include <string.h>

#include <libfdt.h>

#include "kernel/lib/types.h"

#define BLOB_SIZE 8192

static _Alignas(8) unsigned char blob[BLOB_SIZE];

static inline void put_cells(const char *name, const uint32_t *cells, unsigned count)
{
    uint32_t be[16];

    assert_in_range(count, 0, ARRAY_SIZE(be));
    for (unsigned i = 0; i < count; i++) {
        be[i] = cpu_to_fdt32(cells[i]);
    }
    assert_int_equal(fdt_property(blob, name, be, (int)(count * 4)), 0);
}

#define CELLS(name, ...)                             \
    do {                                             \
        const uint32_t cells_[] = {__VA_ARGS__};     \
        put_cells(name, cells_, ARRAY_SIZE(cells_)); \
    } while (0)

static inline void node(const char *name)
{
    assert_int_equal(fdt_begin_node(blob, name), 0);
}

static inline void end(void)
{
    assert_int_equal(fdt_end_node(blob), 0);
}

static inline void text(const char *name, const char *value)
{
    assert_int_equal(fdt_property(blob, name, value, (int)strlen(value) + 1), 0);
}

// `reserve` is the address of a memory reservation of one page, 0 for none.
static inline void begin_tree(uint32_t addr_cells, uint32_t size_cells, uint64_t reserve)
{
    assert_int_equal(fdt_create(blob, BLOB_SIZE), 0);
    if (reserve) {
        assert_int_equal(fdt_add_reservemap_entry(blob, reserve, 0x1000), 0);
    }
    assert_int_equal(fdt_finish_reservemap(blob), 0);
    node("");
    CELLS("#address-cells", addr_cells);
    CELLS("#size-cells", size_cells);
}

static inline void end_tree(void)
{
    end();
    assert_int_equal(fdt_finish(blob), 0);
}
