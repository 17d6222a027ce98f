// SPDX-License-Identifier: Apache-2.0
//
// Writing a device tree node by node, and what the architectures add to the shared parts; for vmm/firmware
// alone.
//
// Nodes come in the order of the calls. Properties of a node come before its children. libfdt's own sequential writer
// searches its strings for every property, which made a tenth of the way to a guest.
#pragma once

#include <libfdt.h>

#include "vmm/firmware/vm_fdt.h"

#define TREE_NAMES_MAX 96u     // different property names
#define TREE_STRINGS_MAX 1536u // bytes of them

struct fdt_builder {
    uint8_t *fdt;    // the blob
    size_t capacity; // of it
    size_t used;     // header and structure so far
    unsigned depth;  // open nodes
    int error;       // of libfdt; the first one sticks
    const struct vm_fdt_input *in;
    struct {
        const char *name; // the caller's own, compared as a pointer first
        uint32_t offset;
    } names[TREE_NAMES_MAX];
    unsigned name_count;
    char strings[TREE_STRINGS_MAX];
    size_t strings_used;
};

// The blob begins in a buffer of `capacity` bytes, 8-byte aligned, whose contents do not matter.
void tree_start(struct fdt_builder *b, void *buf, size_t capacity);
// Completes it: every node closed. The size is then in its header; b->error says whether all went well.
void tree_finish(struct fdt_builder *b);

void tree_note(struct fdt_builder *b, int error);
// Names of properties must stay where they are until tree_finish().
void tree_begin(struct fdt_builder *b, const char *name);
void tree_begin_at(struct fdt_builder *b, const char *name, uint64_t address); // name@address
void tree_end(struct fdt_builder *b);
void tree_put_bytes(struct fdt_builder *b, const char *name, const void *data, size_t len);
void tree_put_flag(struct fdt_builder *b, const char *name);
void tree_put_text(struct fdt_builder *b, const char *name, const char *text);
void tree_put_u32(struct fdt_builder *b, const char *name, uint32_t v);
void tree_put_u64(struct fdt_builder *b, const char *name, uint64_t v);
// At most TREE_CELLS_MAX cells; a longer list is an error.
#define TREE_CELLS_MAX 512
void tree_put_cells(struct fdt_builder *b, const char *name, const uint32_t *cells, unsigned count);
// "reg": up to eight 64-bit numbers, base and size in turn.
void tree_put_reg(struct fdt_builder *b, const uint64_t *values, unsigned count);

// One architecture's virtual board.
struct fdt_arch {
    const char *arch;                        // "aarch64"
    const char *root_compatible;             // of the root node
    const char *console;                     // what "console=" says for the board's UART: "ttyAMA0"
    const char *device_path;                 // where devices' nodes are: "", or "/soc"
    uint32_t irq_first;                      // device interrupts below this do not exist
    void (*add_root)(struct fdt_builder *b); // properties of the root
    void (*add_cpus)(struct fdt_builder *b); // and how to start them
    // Nodes of timers and interrupt controllers; leaves the node open in which devices lie.
    void (*add_machine)(struct fdt_builder *b);
    // The device's "interrupts" and the like; the node is open.
    void (*add_irq)(struct fdt_builder *b, const struct vm_fdt_device *d);
    // A reference to the board's fixed clock, 0 when it has none.
    uint32_t clock_phandle;
    void (*finish)(struct fdt_builder *b); // closes what add_machine() left open, and adds the rest
};

extern const struct fdt_arch fdt_arch_aarch64;
extern const struct fdt_arch fdt_arch_riscv64;
