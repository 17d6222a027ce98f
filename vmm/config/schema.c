// SPDX-License-Identifier: Apache-2.0
//
// The table-driven reader: see schema.h.
#include "vmm/config/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- complaints ----

static void complain(struct config_errors *errors, const char *file, const struct config_pos *pos,
                     const char *vm, const char *fmt, va_list ap)
{
    struct config_error *e;
    size_t skip = strlen(file);

    if (errors->count++ >= ARRAY_SIZE(errors->list)) {
        return;
    }
    e = &errors->list[errors->count - 1];
    memset(e, 0, sizeof(*e));
    // The end of a long path says more than its start.
    skip = skip >= sizeof(e->file) ? skip - sizeof(e->file) + 1 : 0;
    (void)snprintf(e->file, sizeof(e->file), "%s", file + skip);
    e->line = pos ? pos->line : 0;
    e->column = pos ? pos->column : 0;
    e->fatal_for_all = !vm;
    (void)snprintf(e->vm, sizeof(e->vm), "%s", vm ? vm : "");
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    // A quoted key may hold anything: nothing of it may steer the terminal.
    for (char *c = e->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = '?';
        }
    }
}

void config_complain(struct config_errors *errors, const char *file, const struct config_pos *pos,
                     const char *vm, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(errors, file, pos, vm, fmt, ap);
    va_end(ap);
}

void schema_complain(struct schema_context *cx, struct toml_pos pos, const char *fmt, ...)
{
    struct config_pos at = {pos.line, pos.column};
    va_list ap;

    if (cx->vm) {
        cx->vm->refused = true;
    }
    va_start(ap, fmt);
    complain(cx->errors, cx->file, &at, cx->vm ? cx->vm->name : NULL, fmt, ap);
    va_end(ap);
}

char *config_error_format(char *buf, size_t size, const struct config_error *error)
{
    char place[32] = "";
    char vm[CONFIG_NAME_MAX + 8] = "";

    if (error->line) {
        (void)snprintf(place, sizeof(place), ":%u:%u", (unsigned)error->line, (unsigned)error->column);
    }
    if (error->vm[0]) {
        (void)snprintf(vm, sizeof(vm), "vm '%s': ", error->vm);
    }
    (void)snprintf(buf, size, "%s%s: %s%s", error->file, place, vm, error->text);
    return buf;
}

// Key names from the top, array indices left out.
struct schema_name schema_key_name(const struct toml_node *node)
{
    const struct toml_node *path[TOML_DEPTH_MAX];
    struct schema_name out = {""};
    unsigned depth = 0;
    size_t len = 0;

    for (; node && depth < ARRAY_SIZE(path); node = node->parent) {
        if (node->key.len > 0) {
            path[depth++] = node;
        }
    }
    while (depth-- > 0 && len < sizeof(out.text)) {
        int n =
            snprintf(out.text + len, sizeof(out.text) - len, "%s%.24s", len ? "." : "", path[depth]->key.ptr);

        len += n > 0 ? (size_t)n : 0;
    }
    return out;
}

static void complain_type(struct schema_context *cx, const struct toml_node *node, const char *wanted)
{
    schema_complain(
        cx, node->pos, "%s: must be %s, not %s %s", schema_key_name(node).text, wanted,
        node->type == TOML_INTEGER || node->type == TOML_ARRAY || node->type == TOML_DATETIME ? "an" : "a",
        toml_type_name(node->type));
}

// ---- unknown keys ----

// Edits from one short word to the other: a letter changed, added, dropped, or two neighbours swapped. Anything longer
// counts as far.
static unsigned word_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][32];

    if (a_len >= ARRAY_SIZE(rows[0]) || b_len >= ARRAY_SIZE(rows[0])) {
        return 99;
    }
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned change = above[j - 1] + (a[i - 1] != b[j - 1]);
            unsigned step = (above[j] < row[j - 1] ? above[j] : row[j - 1]) + 1;

            row[j] = change < step ? change : step;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < row[j]) {
                row[j] = above2[j - 2] + 1;
            }
        }
    }
    return rows[a_len % 3][b_len];
}

static const char *nearest(const char *const *words, unsigned count, struct toml_text word)
{
    unsigned best = word.len <= 3 ? 2 : 3; // at most one or two slips
    const char *found = NULL;

    for (unsigned i = 0; i < count; i++) {
        unsigned d = word_distance(words[i], strlen(words[i]), word.ptr, word.len);

        if (d < best) {
            best = d;
            found = words[i];
        }
    }
    return found;
}

// Appends "a, b, c" as far as there is room.
static void list_words(char *buf, size_t size, const char *const *words, unsigned count)
{
    size_t len = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < count && len + strlen(words[i]) + 3 < size; i++) {
        len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", words[i]);
    }
}

static void complain_unknown(struct schema_context *cx, const struct schema_table *table,
                             const struct toml_node *node)
{
    const char *words[32] = {NULL};
    const char *hint;
    char list[120];
    unsigned n = 0;

    for (; n < table->key_count && n < ARRAY_SIZE(words); n++) {
        words[n] = table->keys[n].name;
    }
    hint = nearest(words, n, node->key);
    if (hint) {
        schema_complain(cx, node->key_pos, "%s: unknown key, did you mean '%s'?", schema_key_name(node).text,
                        hint);
        return;
    }
    list_words(list, sizeof(list), words, n);
    schema_complain(cx, node->key_pos, "%s: unknown key; here may stand: %s", schema_key_name(node).text,
                    list);
}

// ---- values ----

static bool check_range(struct schema_context *cx, const struct schema_key *key, const struct toml_node *node,
                        uint64_t v)
{
    struct schema_name name = schema_key_name(node);

    if (v < key->min || v > key->max) {
        if (key->hex || key->type == SCHEMA_SIZE) {
            schema_complain(cx, node->pos, "%s: 0x%llx is outside 0x%llx to 0x%llx", name.text,
                            (unsigned long long)v, (unsigned long long)key->min,
                            (unsigned long long)key->max);
        } else {
            schema_complain(cx, node->pos, "%s: %llu is outside %llu to %llu", name.text,
                            (unsigned long long)v, (unsigned long long)key->min,
                            (unsigned long long)key->max);
        }
        return false;
    }
    if (key->align && v % key->align != 0) {
        schema_complain(cx, node->pos, "%s: 0x%llx is no multiple of 0x%llx", name.text,
                        (unsigned long long)v, (unsigned long long)key->align);
        return false;
    }
    return true;
}

bool schema_uint(struct schema_context *cx, const struct schema_key *key, const struct toml_node *node,
                 uint64_t *out)
{
    if (node->type != TOML_INTEGER) {
        complain_type(cx, node, "an integer");
        return false;
    }
    if (node->integer < 0) {
        schema_complain(cx, node->pos, "%s: must not be negative", schema_key_name(node).text);
        return false;
    }
    *out = (uint64_t)node->integer;
    return check_range(cx, key, node, *out);
}

// "256M": digits and one of K, M, G, T.
static bool parse_size(struct toml_text text, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    uint64_t v = 0;
    size_t i = 0;
    const char *suffix;
    unsigned shift;

    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        if (v > UINT64_MAX / 100) {
            return false;
        }
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (i == 0) {
        return false;
    }
    if (i == text.len) {
        *out = v;
        return true;
    }
    suffix = strchr(suffixes, text.ptr[i]);
    if (i + 1 != text.len || text.ptr[i] == '\0' || !suffix) {
        return false;
    }
    shift = 10 * (unsigned)(suffix - suffixes + 1);
    if (v > UINT64_MAX >> shift) {
        return false;
    }
    *out = v << shift;
    return true;
}

bool schema_size(struct schema_context *cx, const struct schema_key *key, const struct toml_node *node,
                 uint64_t *out)
{
    if (node->type == TOML_INTEGER) {
        return schema_uint(cx, key, node, out);
    }
    if (node->type != TOML_STRING) {
        complain_type(cx, node, "a size such as \"256M\", or a number of bytes");
        return false;
    }
    if (!parse_size(node->text, out)) {
        schema_complain(cx, node->pos,
                        "%s: \"%.24s\" is no size: digits and one of K, M, G, T, as in \"256M\"",
                        schema_key_name(node).text, node->text.ptr);
        return false;
    }
    return check_range(cx, key, node, *out);
}

bool schema_string(struct schema_context *cx, const struct toml_node *node, char *out, size_t size)
{
    struct schema_name name = schema_key_name(node);

    if (node->type != TOML_STRING) {
        complain_type(cx, node, "a string");
        return false;
    }
    if (node->text.len >= size) {
        schema_complain(cx, node->pos, "%s: longer than %zu bytes", name.text, size - 1);
        return false;
    }
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];

        if (c < 0x20 || c == 0x7F) {
            schema_complain(cx, node->pos, "%s: control characters are not allowed", name.text);
            return false;
        }
    }
    memcpy(out, node->text.ptr, node->text.len + 1);
    return true;
}

bool schema_name_valid(const char *name)
{
    for (const char *c = name; *c; c++) {
        bool alnum = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

        if (!alnum && (c == name || !strchr("_-.", *c))) {
            return false;
        }
    }
    return name[0] != '\0';
}

static void store(void *field, uint16_t size, uint64_t v)
{
    uint8_t v8 = (uint8_t)v;
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;

    switch (size) {
    case 1:
        memcpy(field, &v8, sizeof(v8));
        break;
    case 2:
        memcpy(field, &v16, sizeof(v16));
        break;
    case 4:
        memcpy(field, &v32, sizeof(v32));
        break;
    default:
        memcpy(field, &v, sizeof(v));
        break;
    }
}

static bool set_bool(struct schema_context *cx, void *field, const struct toml_node *node)
{
    if (node->type != TOML_BOOLEAN) {
        complain_type(cx, node, "true or false");
        return false;
    }
    memcpy(field, &node->boolean, sizeof(node->boolean));
    return true;
}

static bool set_enum(struct schema_context *cx, const struct schema_key *key, void *field,
                     const struct toml_node *node)
{
    char list[100];
    const char *hint;
    unsigned n = 0;

    if (node->type != TOML_STRING) {
        complain_type(cx, node, "a string");
        return false;
    }
    for (; key->values[n]; n++) {
        if (strlen(key->values[n]) == node->text.len &&
            memcmp(key->values[n], node->text.ptr, node->text.len) == 0) {
            store(field, key->size, n);
            return true;
        }
    }
    hint = nearest(key->values, n, node->text);
    list_words(list, sizeof(list), key->values, n);
    schema_complain(cx, node->pos, "%s: \"%.24s\" is not one of: %s%s%s%s", schema_key_name(node).text,
                    node->text.ptr, list, hint ? "; did you mean '" : "", hint ? hint : "", hint ? "'?" : "");
    return false;
}

// ---- tables ----

static bool read_tables(struct schema_context *cx, const struct schema_key *key, void *target,
                        const struct toml_node *node)
{
    if (node->type != TOML_ARRAY) {
        schema_complain(cx, node->pos, "%s: must be an array of tables: write [[%s]]",
                        schema_key_name(node).text, schema_key_name(node).text);
        return false;
    }
    toml_for_each(it, node)
    {
        void *element;

        if (it->type != TOML_TABLE) {
            complain_type(cx, it, "a table");
            continue;
        }
        element = key->element(cx, target, it);
        if (!element) {
            return false;
        }
        schema_read(cx, key->table, element, it);
        if (key->check) {
            key->check(cx, element, it);
        }
    }
    return true;
}

// False after a complaint.
static bool read_value(struct schema_context *cx, const struct schema_key *key, void *target,
                       const struct toml_node *node)
{
    void *field = (char *)target + key->offset;
    uint64_t v;

    switch (key->type) {
    case SCHEMA_STRING:
        return schema_string(cx, node, field, key->size);
    case SCHEMA_BOOL:
        return set_bool(cx, field, node);
    case SCHEMA_UINT:
    case SCHEMA_SIZE:
        if (key->type == SCHEMA_UINT ? !schema_uint(cx, key, node, &v) : !schema_size(cx, key, node, &v)) {
            return false;
        }
        store(field, key->size, v);
        return true;
    case SCHEMA_ENUM:
        return set_enum(cx, key, field, node);
    case SCHEMA_TABLE:
        if (node->type != TOML_TABLE) {
            complain_type(cx, node, "a table");
            return false;
        }
        schema_read(cx, key->table, field, node);
        return true;
    case SCHEMA_TABLES:
        return read_tables(cx, key, target, node);
    case SCHEMA_CUSTOM:
        key->set(cx, key, target, node);
        return true;
    }
    return false;
}

static void read_key(struct schema_context *cx, const struct schema_key *key, void *target,
                     const struct toml_node *node)
{
    bool yes = true;

    if (key->pos_offset) {
        struct config_pos pos = {node->pos.line, node->pos.column};

        memcpy((char *)target + key->pos_offset, &pos, sizeof(pos));
    }
    if (!read_value(cx, key, target, node)) {
        return;
    }
    if (key->has_offset) {
        memcpy((char *)target + key->has_offset, &yes, sizeof(yes));
    }
    if (key->check && key->type != SCHEMA_TABLES) {
        key->check(cx, target, node);
    }
}

static const struct schema_key *key_find(const struct schema_table *table, struct toml_text name)
{
    for (unsigned i = 0; i < table->key_count; i++) {
        if (strlen(table->keys[i].name) == name.len && memcmp(table->keys[i].name, name.ptr, name.len) == 0) {
            return &table->keys[i];
        }
    }
    return NULL;
}

void schema_read(struct schema_context *cx, const struct schema_table *table, void *target,
                 const struct toml_node *node)
{
    toml_for_each(it, node)
    {
        const struct schema_key *key = key_find(table, it->key);

        if (key) {
            read_key(cx, key, target, it);
        } else {
            complain_unknown(cx, table, it);
        }
    }
    for (unsigned i = 0; i < table->key_count; i++) {
        if (table->keys[i].required && !toml_get(node, table->keys[i].name)) {
            schema_complain(cx, node->pos, "%s.%s: is missing", table->name, table->keys[i].name);
        }
    }
}
