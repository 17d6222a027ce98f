// SPDX-License-Identifier: Apache-2.0
//
// Reading properties of a flattened device tree that nobody vouches for: every length and terminator is
// checked here, so that callers get a value or nothing. Thin layer over libfdt; the blob has passed
// fdt_check().
#pragma once

#include "kernel/lib/types.h"

#include <libfdt.h>

// The properties of the node read last are remembered, so a caller that reads several walks them once. Forgets them:
// before a tree is read whose bytes may have changed. Everything here runs on the boot CPU.
void fdt_read_forget(void);

#define FDT_DEPTH_MAX 16 // devices do not live deeper than this

// The walk over a tree that fdt_check() has found sound, without checking everything again at each step (which makes
// libfdt's own walk the larger part of booting). As fdt_next_node(), fdt_get_name(), fdt_subnode_offset(),
// fdt_path_offset_namelen() without aliases, and fdt_parent_offset().
int fdt_read_next_node(const void *fdt, int node, int *depth);
const char *fdt_read_name(const void *fdt, int node);
int fdt_read_child(const void *fdt, int node, const char *name);
int fdt_read_path(const void *fdt, const char *path, size_t len);
int fdt_read_parent(const void *fdt, int node);

// The node with this phandle, negative when there is none.
int fdt_read_by_phandle(const void *fdt, uint32_t phandle);

// The value of a property, NULL when there is none.
const void *fdt_read_value(const void *fdt, int node, const char *name, int *len);

// A text property: at least one byte, NUL-terminated inside its length. NULL otherwise.
const char *fdt_read_string(const void *fdt, int node, const char *name);

// Like fdt_read_string(), for a list: the length in bytes of a value whose last byte is NUL.
const char *fdt_read_string_list(const void *fdt, int node, const char *name, int *len);

// One cell; one or two cells.
bool fdt_read_u32(const void *fdt, int node, const char *name, uint32_t *out);
bool fdt_read_u64(const void *fdt, int node, const char *name, uint64_t *out);

// A number of 0 to 2 cells at p; false for larger ones (PCI addresses) unless their upper cells are zero.
bool fdt_read_cells(const fdt32_t *p, unsigned cells, uint64_t *out);

// "#address-cells" and "#size-cells" of a bus node, with the specification's defaults 2 and 1. False when
// they are damaged.
bool fdt_read_bus_cells(const void *fdt, int node, unsigned *addr_cells, unsigned *size_cells);

// The value of an array property in cells: NULL when it is missing or not a multiple of four bytes.
const fdt32_t *fdt_read_array(const void *fdt, int node, const char *name, unsigned *cells);

// status is absent, "okay" or "ok".
bool fdt_read_enabled(const void *fdt, int node);

// True when one of the node's "compatible" strings is `name`.
bool fdt_read_compatible(const void *fdt, int node, const char *name);
