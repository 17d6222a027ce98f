// SPDX-License-Identifier: Apache-2.0
//
// Checked property access. Follows the Devicetree Specification 0.4, section 2.2.4 (value types) and 2.3.5
// (cells).
#include "kernel/dev/fdt_read.h"

#include <string.h>

const char *fdt_read_string_list(const void *fdt, int node, const char *name, int *len)
{
    int n = 0;
    const char *text = fdt_getprop(fdt, node, name, &n);

    if (!text || n <= 0 || text[n - 1] != '\0') {
        return NULL;
    }
    *len = n;
    return text;
}

const char *fdt_read_string(const void *fdt, int node, const char *name)
{
    int len = 0;
    const char *text = fdt_getprop(fdt, node, name, &len);

    return text && len > 0 && memchr(text, 0, (size_t)len) ? text : NULL;
}

const fdt32_t *fdt_read_array(const void *fdt, int node, const char *name, unsigned *cells)
{
    int len = 0;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    if (!p || len < 0 || (unsigned)len % sizeof(fdt32_t) != 0) {
        return NULL;
    }
    *cells = (unsigned)len / (unsigned)sizeof(fdt32_t);
    return p;
}

bool fdt_read_u32(const void *fdt, int node, const char *name, uint32_t *out)
{
    unsigned cells = 0;
    const fdt32_t *p = fdt_read_array(fdt, node, name, &cells);

    if (!p || cells != 1) {
        return false;
    }
    *out = fdt32_ld(p);
    return true;
}

bool fdt_read_u64(const void *fdt, int node, const char *name, uint64_t *out)
{
    unsigned cells = 0;
    const fdt32_t *p = fdt_read_array(fdt, node, name, &cells);

    return p && (cells == 1 || cells == 2) && fdt_read_cells(p, cells, out);
}

bool fdt_read_cells(const fdt32_t *p, unsigned cells, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < cells; i++) {
        if (value >> 32) {
            return false;
        }
        value = value << 32 | fdt32_ld(p + i);
    }
    *out = value;
    return true;
}

bool fdt_read_bus_cells(const void *fdt, int node, unsigned *addr_cells, unsigned *size_cells)
{
    int addr = fdt_address_cells(fdt, node);
    int size = fdt_size_cells(fdt, node);

    if (addr < 0 || size < 0) {
        return false;
    }
    *addr_cells = (unsigned)addr;
    *size_cells = (unsigned)size;
    return true;
}

bool fdt_read_enabled(const void *fdt, int node)
{
    int len = 0;

    if (!fdt_getprop(fdt, node, "status", &len)) {
        return true;
    }

    const char *status = fdt_read_string(fdt, node, "status");

    return status && (strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0);
}

bool fdt_read_compatible(const void *fdt, int node, const char *name)
{
    int len = 0;
    const char *list = fdt_read_string_list(fdt, node, "compatible", &len);

    return list && fdt_stringlist_contains(list, len, name);
}
