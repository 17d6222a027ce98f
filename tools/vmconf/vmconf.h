// SPDX-License-Identifier: Apache-2.0
//
// vmconf: the parts of the host tool. Plain C with the host's libc; errors go to stderr, results to stdout.
#pragma once

#include "kernel/lib/toml.h"
#include "vmm/config/config.h"

#define VAR_MAX 8
#define FILE_MAX 16
#define GUEST_MAX 64

struct text_file {
    const char *path;
    char *text; // NUL-terminated
    size_t len;
};

// The guest catalogue: which file stands behind "debian/kernel".
struct catalogue_row {
    char key[CONFIG_PATH_MAX];
    char path[1024];
};

struct catalogue {
    unsigned count;
    struct catalogue_row rows[GUEST_MAX];
};

struct options {
    const char *arch;
    const char *catalogue; // path, NULL: none
    const char *vars[VAR_MAX];
    unsigned var_count;
    unsigned cpus;
    uint64_t ram;
    bool json, fat, no_files;
    const char *files[FILE_MAX];
    unsigned file_count;
};

// A configuration and what it came from.
struct loaded {
    const struct options *options;
    struct catalogue catalogue;
    struct config config;
    struct config_errors errors;
    struct text_file files[FILE_MAX];
};

// False after a message.
bool text_file_read(struct text_file *file, const char *path);
bool catalogue_read(struct catalogue *out, const struct options *options);

// NULL when the key is not in the catalogue.
const char *catalogue_path(const struct catalogue *c, const char *key);

// Reads all files; prints every complaint. Returns 0, or 1 when there were complaints, 2 when nothing could be read.
int config_open(struct loaded *l, const struct options *options);

bool path_exists(const char *path);

// A JSON string with quotes.
void json_string(const char *s, size_t len);
void json_text(const char *s);

// The commands; the result is the exit status.
int cmd_check(struct loaded *l);
int cmd_plan(struct loaded *l);
int cmd_images(struct loaded *l);
int cmd_dump(const struct options *options);
