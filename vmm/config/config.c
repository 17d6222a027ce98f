// SPDX-License-Identifier: Apache-2.0
//
// config_load(): parse each text, read it by the rows of config_keys.c, then check what concerns several VMs.
//
// Each document lives in the arena only while its own text is read; everything kept is copied into struct config.
#include "vmm/config/config.h"

#include "kernel/lib/toml.h"
#include "vmm/config/arch/board.h"
#include "vmm/config/config_keys.h"

#include <string.h>

static void host_defaults(struct host_config *host)
{
    memset(host, 0, sizeof(*host));
    host->console = CONSOLE_MERGED;
    host->log = LOG_INFO;
    host->fat_config = true;
    host->on_last_stop = LAST_STOP_STAY;
}

// Each key of [host] may be set by one file only.
static void check_host_once(struct schema_context *cx, const struct toml_node *root)
{
    const struct toml_node *host = toml_get(root, "host");
    uint32_t seen = cx->host_seen;

    if (!host || host->type != TOML_TABLE) {
        return;
    }
    for (unsigned i = 0; i < config_host_keys.key_count; i++) {
        const struct toml_node *node = toml_get(host, config_host_keys.keys[i].name);

        if (!node) {
            continue;
        }
        if (seen & UINT32_C(1) << i) {
            schema_complain(cx, node->key_pos, "%s: set by another file already", schema_key_name(node).text);
        }
        cx->host_seen |= UINT32_C(1) << i;
    }
}

static void load_source(struct schema_context *cx, const struct config_source *source,
                        struct toml_arena arena)
{
    struct toml_error error;
    struct toml_node *root;

    cx->file = source->name;
    cx->vm = NULL;
    if (toml_parse(&root, source->text, source->len, &arena, &error) != OK) {
        schema_complain(cx, error.pos, "%s", error.message);
        return;
    }
    check_host_once(cx, root);
    schema_read(cx, &config_top_keys, cx->config, root);
}

// Complaints about one file in the order of its lines: they were found rule by rule.
static void sort_errors(struct config_errors *errors)
{
    unsigned count = errors->count < ARRAY_SIZE(errors->list) ? errors->count : ARRAY_SIZE(errors->list);

    for (unsigned i = 1; i < count; i++) {
        struct config_error e = errors->list[i];
        unsigned j = i;

        for (; j > 0 && strcmp(errors->list[j - 1].file, e.file) == 0 && errors->list[j - 1].line > e.line;
             j--) {
            errors->list[j] = errors->list[j - 1];
        }
        errors->list[j] = e;
    }
}

enum status config_load(struct config *out, const struct config_source *sources, unsigned count,
                        const struct config_env *env, void *arena, size_t arena_size,
                        struct config_errors *errors)
{
    struct toml_arena scratch = {.base = arena, .size = arena_size};
    uintptr_t misaligned = (uintptr_t)arena % _Alignof(struct vm_plan);
    size_t pad = misaligned ? _Alignof(struct vm_plan) - misaligned : 0;
    struct schema_context cx = {
        .env = env, .board = board_find(env->arch), .config = out, .errors = errors, .file = ""};

    memset(errors, 0, sizeof(*errors));
    host_defaults(&out->host);
    out->vm_count = 0;
    if (!cx.board) {
        return E_INVAL;
    }
    if (arena_size < pad + sizeof(*cx.plan)) {
        return E_NOMEM;
    }
    cx.plan = (struct vm_plan *)(void *)(scratch.base + pad);
    scratch.used = pad + sizeof(*cx.plan);
    for (unsigned i = 0; i < count; i++) {
        load_source(&cx, &sources[i], scratch);
    }
    config_check_all(&cx);
    sort_errors(errors);
    return errors->count ? E_CONFIG : OK;
}
