// SPDX-License-Identifier: Apache-2.0
//
// Checked property access. Follows the Devicetree Specification 0.4, section 2.2.4 (value types) and 2.3.5
// (cells).
#include "kernel/dev/fdt_read.h"

#include <string.h>

#include "kernel/dev/fdt_token.h"

#define PROPS_MAX 24
#define TAG 4 // bytes of a token, and what all is aligned to

// One node's properties in the order of the tree; `complete`: these are all.
static struct {
    const void *fdt;
    int node;
    unsigned count;
    bool complete;
    struct {
        const char *name;
        const void *value;
        int len;
    } props[PROPS_MAX];
} seen;

void fdt_read_forget(void)
{
    seen.fdt = NULL;
}

static const char *tree_of(const void *fdt)
{
    return (const char *)fdt + fdt_word(fdt, offsetof(struct fdt_header, off_dt_struct));
}

const char *fdt_read_name(const void *fdt, int node)
{
    return tree_of(fdt) + node + TAG;
}

// Where the first token inside a node is.
static int inside(const char *tree, int node)
{
    int at = node + 2 * TAG;

    while (tree[at - 1] != '\0') { // names are filled up with zeros
        at += TAG;
    }
    return at;
}

static int after_property(const char *tree, int at)
{
    return at + 3 * TAG + (int)align_up(fdt_word(tree, (uint32_t)at + TAG), (uint64_t)TAG);
}

int fdt_read_next_node(const void *fdt, int node, int *depth)
{
    const char *tree = tree_of(fdt);

    for (int at = inside(tree, node);;) {
        switch (fdt_word(tree, (uint32_t)at)) {
        case FDT_BEGIN_NODE:
            (*depth)++;
            return at;
        case FDT_END_NODE:
            (*depth)--;
            at += TAG;
            break;
        case FDT_PROP:
            at = after_property(tree, at);
            break;
        case FDT_NOP:
            at += TAG;
            break;
        default:
            return -FDT_ERR_NOTFOUND;
        }
    }
}

// Whether a node's name is this one; a name without a unit address stands for any.
static bool name_is(const char *node_name, const char *name, size_t len)
{
    return strncmp(node_name, name, len) == 0 &&
           (node_name[len] == '\0' || (node_name[len] == '@' && !memchr(name, '@', len)));
}

static int child_named(const void *fdt, int node, const char *name, size_t len)
{
    int depth = 0;

    for (int n = fdt_read_next_node(fdt, node, &depth); n >= 0 && depth > 0;
         n = fdt_read_next_node(fdt, n, &depth)) {
        if (depth == 1 && name_is(fdt_read_name(fdt, n), name, len)) {
            return n;
        }
    }
    return -FDT_ERR_NOTFOUND;
}

int fdt_read_child(const void *fdt, int node, const char *name)
{
    return child_named(fdt, node, name, strlen(name));
}

int fdt_read_path(const void *fdt, const char *path, size_t len)
{
    const char *end = path + len;
    int node = 0;

    while (path < end && node >= 0) {
        size_t n = 0;

        while (path + n < end && path[n] != '/') {
            n++;
        }
        node = n ? child_named(fdt, node, path, n) : node;
        path += n + (path + n < end);
    }
    return node;
}

int fdt_read_parent(const void *fdt, int node)
{
    int above[FDT_DEPTH_MAX] = {0};
    int depth = 0;

    for (int n = 0; n >= 0 && n <= node && depth >= 0; n = fdt_read_next_node(fdt, n, &depth)) {
        if (n == node) {
            return depth > 0 && depth <= FDT_DEPTH_MAX ? above[depth - 1] : -FDT_ERR_NOTFOUND;
        }
        if (depth < FDT_DEPTH_MAX) {
            above[depth] = n;
        }
    }
    return -FDT_ERR_NOTFOUND;
}

static void remember(const void *fdt, int node)
{
    const char *strings = (const char *)fdt + fdt_word(fdt, offsetof(struct fdt_header, off_dt_strings));
    const char *tree = tree_of(fdt);
    int at = inside(tree, node);

    seen.fdt = fdt;
    seen.node = node;
    seen.count = 0;
    seen.complete = true;
    for (uint32_t tag = fdt_word(tree, (uint32_t)at); tag == FDT_PROP || tag == FDT_NOP;
         tag = fdt_word(tree, (uint32_t)at)) {
        if (tag == FDT_NOP) {
            at += TAG;
            continue;
        }
        if (seen.count == PROPS_MAX) {
            seen.complete = false;
            return;
        }
        seen.props[seen.count].len = (int)fdt_word(tree, (uint32_t)at + TAG);
        seen.props[seen.count].name = strings + fdt_word(tree, (uint32_t)at + 2 * TAG);
        seen.props[seen.count].value = tree + at + 3 * TAG;
        seen.count++;
        at = after_property(tree, at);
    }
}

const void *fdt_read_value(const void *fdt, int node, const char *name, int *len)
{
    if (seen.fdt != fdt || seen.node != node) {
        remember(fdt, node);
    }
    for (unsigned i = 0; i < seen.count; i++) {
        if (seen.props[i].name[0] == name[0] && strcmp(seen.props[i].name, name) == 0) {
            *len = seen.props[i].len;
            return seen.props[i].value;
        }
    }
    return seen.complete ? NULL : fdt_getprop(fdt, node, name, len);
}

const char *fdt_read_string_list(const void *fdt, int node, const char *name, int *len)
{
    int n = 0;
    const char *text = fdt_read_value(fdt, node, name, &n);

    if (!text || n <= 0 || text[n - 1] != '\0') {
        return NULL;
    }
    *len = n;
    return text;
}

const char *fdt_read_string(const void *fdt, int node, const char *name)
{
    int len = 0;
    const char *text = fdt_read_value(fdt, node, name, &len);

    return text && len > 0 && memchr(text, 0, (size_t)len) ? text : NULL;
}

const fdt32_t *fdt_read_array(const void *fdt, int node, const char *name, unsigned *cells)
{
    int len = 0;
    const fdt32_t *p = fdt_read_value(fdt, node, name, &len);

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

int fdt_read_by_phandle(const void *fdt, uint32_t phandle)
{
    int depth = 1;

    for (int node = 0; node >= 0 && depth > 0; node = fdt_read_next_node(fdt, node, &depth)) {
        uint32_t value = 0;

        if ((fdt_read_u32(fdt, node, "phandle", &value) ||
             fdt_read_u32(fdt, node, "linux,phandle", &value)) &&
            value == phandle) {
            return node;
        }
    }
    return -FDT_ERR_NOTFOUND;
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

static bool read_cell_count(const void *fdt, int node, const char *name, unsigned otherwise, unsigned *out)
{
    int len = 0;
    const fdt32_t *p = fdt_read_value(fdt, node, name, &len);

    *out = otherwise;
    if (!p) {
        return true;
    }
    *out = len == sizeof(*p) ? fdt32_ld(p) : UINT32_MAX;
    return *out <= FDT_MAX_NCELLS;
}

bool fdt_read_bus_cells(const void *fdt, int node, unsigned *addr_cells, unsigned *size_cells)
{
    return read_cell_count(fdt, node, "#address-cells", 2, addr_cells) &&
           read_cell_count(fdt, node, "#size-cells", 1, size_cells) && *addr_cells > 0;
}

bool fdt_read_enabled(const void *fdt, int node)
{
    int len = 0;

    if (!fdt_read_value(fdt, node, "status", &len)) {
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
