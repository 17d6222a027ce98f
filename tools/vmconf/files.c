// SPDX-License-Identifier: Apache-2.0
//
// vmconf: reading files and the guest catalogue, and loading a configuration with every question to the outside
// answered from them.
#include "tools/vmconf/vmconf.h"

#include "vmm/config/arch/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool path_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool text_file_read(struct text_file *file, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t size = 0, n;

    *file = (struct text_file){.path = path};
    if (!f) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    do {
        char *grown = realloc(file->text, size + 65537);

        if (!grown) {
            break;
        }
        file->text = grown;
        n = fread(file->text + size, 1, 65536, f);
        size += n;
    } while (n > 0);
    if (ferror(f) || !file->text) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        (void)fclose(f);
        return false;
    }
    (void)fclose(f);
    file->text[size] = '\0';
    file->len = size;
    return true;
}

// ---- the catalogue ----

static const char *default_cache(void)
{
    static char path[1024];
    const char *base = getenv("XDG_CACHE_HOME");

    if (getenv("LODGE_CACHE")) {
        return getenv("LODGE_CACHE");
    }
    if (base && base[0]) {
        (void)snprintf(path, sizeof(path), "%s/lodge", base);
    } else {
        (void)snprintf(path, sizeof(path), "%s/.cache/lodge", getenv("HOME") ? getenv("HOME") : "");
    }
    return path;
}

static const char *var_value(const struct options *o, const char *name, size_t len)
{
    static char build[64];

    for (unsigned i = 0; i < o->var_count; i++) {
        if (strncmp(o->vars[i], name, len) == 0 && o->vars[i][len] == '=') {
            return o->vars[i] + len + 1;
        }
    }
    if (len == 4 && memcmp(name, "arch", 4) == 0) {
        return o->arch;
    }
    if (len == 5 && memcmp(name, "build", 5) == 0) {
        (void)snprintf(build, sizeof(build), "build/qemu-%.32s", o->arch);
        return build;
    }
    return len == 5 && memcmp(name, "cache", 5) == 0 ? default_cache() : NULL;
}

// Expands ${name}; false when a name has no value or the result does not fit.
static bool expand(const struct options *o, const char *in, char *out, size_t size)
{
    size_t len = 0;

    while (*in) {
        const char *piece = in;
        size_t n = 1;

        if (in[0] == '$' && in[1] == '{' && strchr(in, '}')) {
            const char *end = strchr(in, '}');

            piece = var_value(o, in + 2, (size_t)(end - in) - 2);
            if (!piece) {
                return false;
            }
            n = strlen(piece);
            in = end + 1;
        } else {
            in++;
        }
        if (len + n >= size) {
            return false;
        }
        memcpy(out + len, piece, n);
        len += n;
    }
    out[len] = '\0';
    return true;
}

static bool row_add(struct catalogue *out, const struct options *o, const char *guest,
                    const struct toml_node *node)
{
    static const char *const roles[] = {"kernel", "initrd", "dtb", "disk"};
    struct catalogue_row *row = &out->rows[out->count];
    bool known = false;

    for (unsigned i = 0; i < ARRAY_SIZE(roles); i++) {
        known = known || strcmp(node->key.ptr, roles[i]) == 0;
    }
    if (!known || node->type != TOML_STRING || out->count == GUEST_MAX) {
        (void)fprintf(stderr, "%s:%u:%u: %s.%s: a guest has kernel, initrd, dtb and disk, each a path\n",
                      o->catalogue, (unsigned)node->key_pos.line, (unsigned)node->key_pos.column, guest,
                      node->key.ptr);
        return false;
    }
    (void)snprintf(row->key, sizeof(row->key), "%s/%s", guest, node->key.ptr);
    if (!expand(o, node->text.ptr, row->path, sizeof(row->path))) {
        (void)fprintf(
            stderr, "%s:%u:%u: \"%s\" holds a variable without a value (--var NAME=VALUE), or is too long\n",
            o->catalogue, (unsigned)node->pos.line, (unsigned)node->pos.column, node->text.ptr);
        return false;
    }
    out->count++;
    return true;
}

bool catalogue_read(struct catalogue *out, const struct options *options)
{
    static char memory[256 * 1024];
    struct toml_arena arena = {.base = memory, .size = sizeof(memory)};
    struct options o = *options;
    struct toml_node *root;
    struct toml_error error;
    struct text_file file;
    bool ok = true;

    out->count = 0;
    if (!o.catalogue && !path_exists("guests/catalogue.toml")) {
        return true;
    }
    o.catalogue = o.catalogue ? o.catalogue : "guests/catalogue.toml";
    if (!text_file_read(&file, o.catalogue)) {
        return false;
    }
    if (toml_parse(&root, file.text, file.len, &arena, &error) != OK) {
        (void)fprintf(stderr, "%s:%u:%u: %s\n", o.catalogue, (unsigned)error.pos.line,
                      (unsigned)error.pos.column, error.message);
        return false;
    }
    toml_for_each(guest, root)
    {
        if (guest->type != TOML_TABLE) {
            (void)fprintf(stderr, "%s:%u: '%s' is no table\n", o.catalogue, (unsigned)guest->pos.line,
                          guest->key.ptr);
            return false;
        }
        toml_for_each(it, guest)
        {
            ok = row_add(out, &o, guest->key.ptr, it) && ok;
        }
    }
    return ok;
}

const char *catalogue_path(const struct catalogue *c, const char *key)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (strcmp(c->rows[i].key, key) == 0) {
            return c->rows[i].path;
        }
    }
    return NULL;
}

// ---- the configuration ----

static bool has_catalogue_role(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash && !strchr(slash + 1, '/') && !strchr(key, '.') &&
           (strcmp(slash, "/kernel") == 0 || strcmp(slash, "/initrd") == 0 || strcmp(slash, "/dtb") == 0 ||
            strcmp(slash, "/disk") == 0);
}

static bool embedded_exists(const char *key, void *ctx)
{
    struct loaded *l = ctx;
    const char *path = catalogue_path(&l->catalogue, key);

    if (!path && has_catalogue_role(key)) {
        return path_exists(key); // looks like a catalogue name, but may be a path written so
    }
    if (l->options->no_files || path_exists(path ? path : key)) {
        return true;
    }
    if (path) {
        (void)fprintf(stderr, "note: '%s' of the catalogue is %s, which does not exist\n", key, path);
    }
    return false;
}

// On the disk that scripts/make_disk will build.
static bool file_exists(const char *path, void *ctx)
{
    return embedded_exists(path + 1, ctx);
}

int config_open(struct loaded *l, const struct options *options)
{
    struct config_env env = {.arch = options->arch,
                             .ram_free = options->ram,
                             .cpu_count = options->cpus,
                             .embedded_exists = embedded_exists,
                             .file_exists = file_exists,
                             .makes_disks = true,
                             .ctx = l};
    struct config_source sources[FILE_MAX];
    size_t longest = 0, arena_size;
    char line[400];
    void *arena;

    l->options = options;
    if (!board_find(options->arch)) {
        (void)fprintf(stderr, "vmconf: unknown architecture '%s'\n", options->arch);
        return 2;
    }
    if (!catalogue_read(&l->catalogue, options)) {
        return 2;
    }
    for (unsigned i = 0; i < options->file_count; i++) {
        struct text_file *f = &l->files[i];

        if (!text_file_read(f, options->files[i])) {
            return 2;
        }
        sources[i] = (struct config_source){f->path, f->text, f->len};
        longest = f->len > longest ? f->len : longest;
    }
    arena_size = longest * 128 + 65536;
    arena = malloc(arena_size);
    if (!arena) {
        return 2;
    }
    if (config_load(&l->config, sources, options->file_count, &env, arena, arena_size, &l->errors) == OK) {
        free(arena);
        return 0;
    }
    for (unsigned i = 0; i < l->errors.count && i < ARRAY_SIZE(l->errors.list); i++) {
        (void)fprintf(stderr, "%s\n", config_error_format(line, sizeof(line), &l->errors.list[i]));
    }
    if (l->errors.count > ARRAY_SIZE(l->errors.list)) {
        (void)fprintf(stderr, "and %u more\n", l->errors.count - (unsigned)ARRAY_SIZE(l->errors.list));
    }
    free(arena);
    return 1;
}

int cmd_check(struct loaded *l)
{
    if (l->errors.count) {
        (void)fprintf(stderr, "%u complaint%s\n", l->errors.count, l->errors.count == 1 ? "" : "s");
        return 1;
    }
    (void)printf("%u virtual machine%s: good\n", l->config.vm_count, l->config.vm_count == 1 ? "" : "s");
    return 0;
}
