// SPDX-License-Identifier: Apache-2.0
//
// The table-driven reader between TOML and plain structures: each key that a file may hold is one row.
//
// A row says the key's name, type, range and where its value goes. Everything that can be wrong with a key (unknown,
// wrong type, out of range, missing) is found and worded here once, for all keys; rules between keys are config_check.c's.
#pragma once

#include "kernel/lib/toml.h"
#include "vmm/config/config.h"

struct board;
struct schema_key;
struct schema_table;
struct vm_plan;

// One run of config_load().
struct schema_context {
    const struct config_env *env;
    const struct board *board;
    struct config *config;
    struct config_errors *errors;
    const char *file;     // of the source being read
    struct vm_config *vm; // of the [[vm]] being read, NULL outside
    uint32_t host_seen;   // bits by row of the [host] table: set by an earlier source
    struct vm_plan *plan; // scratch
};

enum schema_type {
    SCHEMA_STRING, // into char[]
    SCHEMA_BOOL,
    SCHEMA_UINT,   // into an unsigned of 1 to 8 bytes
    SCHEMA_SIZE,   // "256M" or bytes, into uint64_t
    SCHEMA_ENUM,   // one of `values`
    SCHEMA_TABLE,  // [table]: `table` says its keys, into the struct at the offset
    SCHEMA_TABLES, // [[table]]: element() makes room for each
    SCHEMA_CUSTOM, // set() does it all
};

struct schema_key {
    const char *name;
    enum schema_type type;
    bool required;
    bool hex;                  // UINT: show the range in hexadecimal
    uint16_t offset;           // of the field in the table's struct
    uint16_t size;             // of the field
    uint16_t has_offset;       // of a bool to set, 0: none
    uint16_t pos_offset;       // of a config_pos to set, 0: none
    uint64_t min, max;         // UINT, SIZE
    uint64_t align;            // UINT, SIZE: a multiple of; 0: any
    const char *const *values; // ENUM: names by value, NULL at the end
    const struct schema_table *table;
    unsigned arg; // for set()
    // CUSTOM.
    void (*set)(struct schema_context *cx, const struct schema_key *key, void *target,
                const struct toml_node *node);
    // TABLES: the struct for one more element, NULL after a complaint.
    void *(*element)(struct schema_context *cx, void *target, const struct toml_node *node);
    // After a value was set, or for TABLES after each element: complains about what is wrong with it.
    void (*check)(struct schema_context *cx, void *target, const struct toml_node *node);
};

struct schema_table {
    const char *name; // "vm.boot", for messages; "" for the top
    const struct schema_key *keys;
    unsigned key_count;
};

#define SCHEMA_FIELD(type_, field_) .offset = offsetof(type_, field_), .size = sizeof(((type_ *)0)->field_)
#define SCHEMA_ROWS(rows_) .keys = (rows_), .key_count = ARRAY_SIZE(rows_)

// Reads a TOML table into `target` by the rows of `table`.
void schema_read(struct schema_context *cx, const struct schema_table *table, void *target,
                 const struct toml_node *node);

// Complains at a place of the current file. Inside a [[vm]] that VM is refused, outside it concerns all.
__attribute__((format(printf, 3, 4))) void schema_complain(struct schema_context *cx, struct toml_pos pos,
                                                           const char *fmt, ...);

// The key's full name, "vm.boot.kernel", in a static-free way: into buf, which is returned.
struct schema_name {
    char text[64];
};
struct schema_name schema_key_name(const struct toml_node *node);

// For set(): a checked unsigned number, size, string. False after a complaint.
bool schema_uint(struct schema_context *cx, const struct schema_key *key, const struct toml_node *node,
                 uint64_t *out);
bool schema_size(struct schema_context *cx, const struct schema_key *key, const struct toml_node *node,
                 uint64_t *out);
bool schema_string(struct schema_context *cx, const struct toml_node *node, char *out, size_t size);

// A name as VMs and shares have it: 1 to 31 letters, digits, '_', '-', '.', a letter or digit first.
bool schema_name_valid(const char *name);
