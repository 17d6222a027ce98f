// SPDX-License-Identifier: Apache-2.0
//
// See host_config.h.
#include "vmm/manage/host_config.h"

#include <stdio.h>
#include <string.h>

#include "kernel/cpu/cpu.h"
#include "kernel/fs/fs.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "vmm/config/embed.h"

#define SOURCES_MAX 16
#define FAT_FOLDER "/lodge"
#define TEXT_MAX MIB(1)
#define KEY_PREFIX "config:"

struct sources {
    unsigned count;
    size_t longest;
    struct config_source list[SOURCES_MAX];
    char names[SOURCES_MAX][FS_PATH_MAX];
};

static bool embedded_exists(const char *key, void *ctx)
{
    (void)ctx;
    return embed_find(key) != NULL;
}

static uint64_t embedded_size(const char *key, void *ctx)
{
    const struct embed_entry *e = embed_find(key);

    (void)ctx;
    return e ? e->size : 0;
}

static bool file_exists(const char *path, void *ctx)
{
    uint64_t size;

    (void)ctx;
    return fs_present() && fs_size(path, &size) == OK;
}

static void add_source(struct sources *s, const char *text, size_t len)
{
    struct config_source *src = &s->list[s->count];

    src->name = s->names[s->count];
    src->text = text;
    src->len = len;
    s->longest = len > s->longest ? len : s->longest;
    s->count++;
}

static void add_embedded(struct sources *s)
{
    for (const struct embed_entry *e = embed_table; e < embed_table_end && s->count < SOURCES_MAX; e++) {
        if (strncmp(e->name, KEY_PREFIX, strlen(KEY_PREFIX)) == 0) {
            snprintf(s->names[s->count], FS_PATH_MAX, "%s", e->name + strlen(KEY_PREFIX));
            add_source(s, e->start, e->size);
        }
    }
}

static bool is_toml(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && strcasecmp(name + len - 5, ".toml") == 0;
}

static bool add_fat_file(const char *name, uint64_t size, void *ctx)
{
    struct sources *s = ctx;
    char *path;
    char *text;

    if (s->count >= SOURCES_MAX) {
        log_err("more than %u configuration files in " FAT_FOLDER ": the rest is left out", SOURCES_MAX);
        return false;
    }
    if (!is_toml(name)) {
        return true;
    }
    path = s->names[s->count];
    snprintf(path, FS_PATH_MAX, FAT_FOLDER "/%s", name);
    if (size == 0 || size > TEXT_MAX) {
        log_err("%s: %llu bytes cannot be a configuration; left out", path, (unsigned long long)size);
        return true;
    }
    text = pool_alloc(size);
    if (!text || fs_read(path, 0, text, size) != OK) {
        log_err("%s: cannot be read; left out", path);
        pool_free(text, size);
        return true;
    }
    add_source(s, text, size);
    return true;
}

static void report(const struct config_errors *errors)
{
    char line[LOG_LINE_MAX];
    unsigned shown = errors->count < ARRAY_SIZE(errors->list) ? errors->count : ARRAY_SIZE(errors->list);

    for (unsigned i = 0; i < shown; i++) {
        log_err("%s", config_error_format(line, sizeof(line), &errors->list[i]));
    }
    if (shown < errors->count) {
        log_err("%u more mistakes are not shown", errors->count - shown);
    }
}

// VMs that exist already: names and disks of theirs are taken.
struct living {
    const struct vm_config *const *list;
    unsigned count;
};

// Reads `s` into `out`; E_CONFIG when there are mistakes, of which `errors` then tells.
static enum status read_sources(const struct sources *s, const struct living *living, struct config *out,
                                struct config_errors *errors)
{
    struct page_stats mem;
    size_t arena_size = s->longest * 16 + KIB(64);
    void *arena = pool_alloc_dirty(arena_size); // cleared by the parser, as it is used
    enum status result = E_NOMEM;

    page_stats_get(&mem);
    if (arena) {
        struct config_env env = {
            .arch = LODGE_ARCH,
            .ram_free = mem.free,
            .cpu_count = cpu_online_count(),
            .embedded_exists = embedded_exists,
            .file_exists = file_exists,
            .embedded_size = embedded_size,
            .living = living ? living->list : NULL,
            .living_count = living ? living->count : 0,
        };
        result = config_load(out, s->list, s->count, &env, arena, arena_size, errors);
    }
    pool_free(arena, arena_size);
    return result;
}

// The texts of the FAT disk, when there are any; NULL otherwise.
static struct sources *fat_sources(void)
{
    struct sources *fat = fs_present() ? pool_alloc(sizeof(*fat)) : NULL;

    if (fat && (fs_list(FAT_FOLDER, add_fat_file, fat) != OK || fat->count == 0)) {
        pool_free(fat, sizeof(*fat));
        fat = NULL;
    }
    return fat;
}

// `make LOG=debug` stands above every file.
static void apply_options(struct config *config)
{
    const struct embed_entry *e = embed_find("option:log");
    char name[8];
    enum log_level level;

    if (!e || e->size >= sizeof(name)) {
        return;
    }
    memcpy(name, e->start, e->size);
    name[e->size] = '\0';
    level = log_level_parse(name);
    if (level != LOG_LEVEL_COUNT) {
        config->host.log = level;
    }
}

const struct config *host_config_read(void)
{
    struct config *config = pool_alloc(sizeof(*config));
    struct config_errors *errors = pool_alloc(sizeof(*errors));
    struct sources *embedded = pool_alloc(sizeof(*embedded));
    struct sources *fat = NULL;
    enum status result = E_NOMEM;

    if (config && errors && embedded) {
        add_embedded(embedded);
        result = read_sources(embedded, NULL, config, errors);
        fat = config->host.fat_config ? fat_sources() : NULL;
    }
    if (fat) {
        log_info("configuration from the FAT disk: %s%s", fat->names[0], fat->count > 1 ? " and more" : "");
        result = read_sources(fat, NULL, config, errors);
    }
    if (result == E_CONFIG) {
        report(errors);
    }
    if (result == OK || result == E_CONFIG) {
        apply_options(config);
    }
    pool_free(errors, sizeof(*errors));
    pool_free(embedded, sizeof(*embedded)); // the texts of `fat` stay: messages may point to their names
    return result == OK || result == E_CONFIG ? config : NULL;
}

enum status host_config_text(const char *name, const char *text, size_t len,
                             const struct vm_config *const *living, unsigned count, struct config **out)
{
    struct living others = {living, count};
    struct config *config = pool_alloc(sizeof(*config));
    struct config_errors *errors = pool_alloc(sizeof(*errors));
    struct sources *s = pool_alloc(sizeof(*s));
    enum status result = E_NOMEM;

    if (config && errors && s) {
        snprintf(s->names[0], FS_PATH_MAX, "%s", name);
        add_source(s, text, len);
        result = read_sources(s, &others, config, errors);
        report(errors);
        if (result == OK && config->vm_count == 0) {
            log_err("%s: describes no VM", name);
            result = E_CONFIG;
        }
    }
    pool_free(errors, sizeof(*errors));
    pool_free(s, sizeof(*s));
    if (result != OK) {
        pool_free(config, sizeof(*config));
        return result;
    }
    *out = config;
    return OK;
}

enum status host_config_file(const char *path, const struct vm_config *const *living, unsigned count,
                             struct config **out)
{
    uint64_t size = 0;
    enum status s = fs_present() ? fs_size(path, &size) : E_NOENT;
    char *text = NULL;

    if (s == OK && (size == 0 || size > TEXT_MAX)) {
        log_err("%s: %llu bytes cannot be a configuration", path, (unsigned long long)size);
        s = E_CONFIG;
    }
    if (s == OK) {
        text = pool_alloc(size);
        s = text ? fs_read(path, 0, text, size) : E_NOMEM;
    }
    if (s == OK) {
        s = host_config_text(path, text, size, living, count, out);
    }
    pool_free(text, size);
    return s;
}

void host_config_free(struct config *config)
{
    pool_free(config, sizeof(*config));
}
