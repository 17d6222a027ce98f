// SPDX-License-Identifier: Apache-2.0
//
// Files that the build put into the image: kernels, initrds, disks and the TOML texts themselves.
//
// scripts/gen_embed writes the table from what the configuration names. Keys: "debian/kernel" for an entry of the guest
// catalogue, the path as written for a file, "config:<file name>" for a TOML text. On the host the table is empty.
#pragma once

#include "kernel/lib/types.h"

struct embed_entry {
    const char *name;
    const void *start; // kernels, initrds and disks: 4 KiB aligned; texts: 64 bytes
    uint64_t size;     // bytes
};

// Both from the linker script; texts come first, in the order of CONFIG.
extern const struct embed_entry embed_table[];
extern const struct embed_entry embed_table_end[];

// NULL when there is no such key. Any context.
const struct embed_entry *embed_find(const char *key);
