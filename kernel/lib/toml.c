// SPDX-License-Identifier: Apache-2.0
//
// TOML: keys, tables and the document's structure (sections "Keys" to "Array of Tables").
//
// The rules on defining a table once are kept as flags on the tables: opened by a header, made by a dotted key (and in
// which section), frozen because written inline. Members are found through one hash table over (parent, key), so a
// document of any shape parses in linear time.
#include "kernel/lib/toml_parser.h"

#include <string.h>

const char *toml_type_name(enum toml_type type)
{
    static const char *const names[TOML_TYPE_COUNT] = {
        [TOML_STRING] = "string",
        [TOML_INTEGER] = "integer",
        [TOML_FLOAT] = "float",
        [TOML_BOOLEAN] = "boolean",
        [TOML_DATETIME] = "offset date-time",
        [TOML_LOCAL_DATETIME] = "local date-time",
        [TOML_LOCAL_DATE] = "local date",
        [TOML_LOCAL_TIME] = "local time",
        [TOML_ARRAY] = "array",
        [TOML_TABLE] = "table",
    };

    return (unsigned)type < TOML_TYPE_COUNT ? names[type] : "unknown";
}

const struct toml_node *toml_get(const struct toml_node *table, const char *key)
{
    size_t len = strlen(key);

    if (!table || table->type != TOML_TABLE) {
        return NULL;
    }
    toml_for_each(it, table)
    {
        if (it->key.len == len && memcmp(it->key.ptr, key, len) == 0) {
            return it;
        }
    }
    return NULL;
}

// ---- the tree ----

struct key {
    struct toml_text text;
    struct toml_pos pos;
};

// FNV-1a over the key, started from the parent's address.
static uint32_t member_hash(const struct toml_node *parent, struct toml_text key)
{
    uint64_t seed = (uint64_t)(uintptr_t)parent;
    uint32_t h = UINT32_C(2166136261) ^ (uint32_t)(seed >> 4) ^ (uint32_t)(seed >> 32);

    for (size_t i = 0; i < key.len; i++) {
        h = (h ^ (unsigned char)key.ptr[i]) * UINT32_C(16777619);
    }
    return h ^ h >> 15;
}

static struct toml_node *member_find(struct toml_parser *p, const struct toml_node *table,
                                     struct toml_text key)
{
    uint32_t hash = member_hash(table, key);

    for (struct toml_node *it = p->buckets[hash % TOML_BUCKETS]; it; it = it->hash_next) {
        if (it->hash == hash && it->parent == table && it->key.len == key.len &&
            memcmp(it->key.ptr, key.ptr, key.len) == 0) {
            return it;
        }
    }
    return NULL;
}

// A new last child; NULL after an error. `key` is NULL in an array.
static struct toml_node *child_add(struct toml_parser *p, struct toml_node *parent, const struct key *key,
                                   struct toml_pos pos)
{
    struct toml_node *node;

    if (parent->depth + 1u >= TOML_DEPTH_MAX) {
        (void)toml_fail(p, pos, "nested deeper than %d levels", TOML_DEPTH_MAX);
        return NULL;
    }
    node = toml_alloc(p, sizeof(*node));
    if (!node) {
        return NULL;
    }
    node->pos = node->key_pos = pos;
    node->parent = parent;
    node->depth = (uint8_t)(parent->depth + 1);
    if (key) {
        node->key = key->text;
        node->key_pos = key->pos;
        node->hash = member_hash(parent, key->text);
        node->hash_next = p->buckets[node->hash % TOML_BUCKETS];
        p->buckets[node->hash % TOML_BUCKETS] = node;
    }
    if (parent->list.last) {
        parent->list.last->next = node;
    } else {
        parent->list.first = node;
    }
    parent->list.last = node;
    parent->list.count++;
    return node;
}

static struct toml_node *table_add(struct toml_parser *p, struct toml_node *parent, const struct key *key,
                                   struct toml_pos pos)
{
    struct toml_node *node = child_add(p, parent, key, pos);

    if (node) {
        node->type = TOML_TABLE;
    }
    return node;
}

// "key 'x' …: the first is on line n"
static bool fail_twice(struct toml_parser *p, const struct key *key, const char *what,
                       const struct toml_node *first)
{
    return toml_fail(p, key->pos, "'%.40s' %s (see line %u)", key->text.ptr, what,
                     (unsigned)first->key_pos.line);
}

// ---- keys ----

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool read_key_part(struct toml_parser *p, struct key *out)
{
    size_t n = 0;

    out->pos = p->pos;
    if (toml_peek(p, 0) == '"' || toml_peek(p, 0) == '\'') {
        return toml_read_string(p, &out->text, false);
    }
    while (is_bare(toml_peek(p, n))) {
        n++;
    }
    if (n == 0) {
        return toml_fail_here(p, "a key");
    }
    if (!toml_copy_text(p, p->cur, n, &out->text)) {
        return false;
    }
    toml_skip(p, n);
    return true;
}

// After a part of a dotted key: true when a dot and thus another part follows; the cursor is then on it.
static bool skip_dot(struct toml_parser *p)
{
    toml_skip_blanks(p);
    if (toml_peek(p, 0) != '.') {
        return false;
    }
    toml_skip(p, 1);
    toml_skip_blanks(p);
    return true;
}

// ---- key = value ----

static bool read_value(struct toml_parser *p, struct toml_node *node);

// One part before the last of a dotted key: the table of that name in `table`, made when missing.
static struct toml_node *enter_dotted(struct toml_parser *p, struct toml_node *table, const struct key *key)
{
    struct toml_node *next = member_find(p, table, key->text);

    if (!next) {
        next = table_add(p, table, key, key->pos);
        if (next) {
            next->flags = TOML_F_DOTTED;
            next->section = p->section;
        }
        return next;
    }
    if (next->type != TOML_TABLE) {
        (void)fail_twice(p, key, "is no table that a dotted key could extend", next);
        return NULL;
    }
    if (next->flags & TOML_F_FROZEN) {
        (void)fail_twice(p, key, "is an inline table, which cannot be extended", next);
        return NULL;
    }
    if ((next->flags & TOML_F_HEADER) || ((next->flags & TOML_F_DOTTED) && next->section != p->section)) {
        (void)fail_twice(p, key, "is a table defined elsewhere", next);
        return NULL;
    }
    // A table that only headers of its sub-tables implied is defined by this key from now on.
    next->flags |= TOML_F_DOTTED;
    next->section = p->section;
    return next;
}

static bool read_key_value(struct toml_parser *p, struct toml_node *table)
{
    struct toml_node *node, *first;
    struct key key;

    if (!read_key_part(p, &key)) {
        return false;
    }
    while (skip_dot(p)) {
        table = enter_dotted(p, table, &key);
        if (!table || !read_key_part(p, &key)) {
            return false;
        }
    }
    if (toml_peek(p, 0) != '=') {
        return toml_fail_here(p, "'=' after the key");
    }
    toml_skip(p, 1);
    toml_skip_blanks(p);
    first = member_find(p, table, key.text);
    if (first) {
        return fail_twice(p, &key, "is there already", first);
    }
    node = child_add(p, table, &key, p->pos);
    if (!node) {
        return false;
    }
    node->key_pos = key.pos;
    return read_value(p, node);
}

// ---- values ----

static bool read_array(struct toml_parser *p, struct toml_node *array)
{
    array->type = TOML_ARRAY;
    array->flags = TOML_F_FROZEN;
    toml_skip(p, 1);
    for (;;) {
        struct toml_node *node;

        toml_skip_lines(p);
        if (toml_peek(p, 0) == ']') {
            break;
        }
        if (toml_at_end(p)) {
            return toml_fail(p, array->pos, "the array is never closed");
        }
        node = child_add(p, array, NULL, p->pos);
        if (!node || !read_value(p, node)) {
            return false;
        }
        toml_skip_lines(p);
        if (toml_peek(p, 0) == ',') {
            toml_skip(p, 1);
        } else if (toml_peek(p, 0) != ']' && !toml_at_end(p)) {
            return toml_fail_here(p, "',' or ']' in the array");
        }
    }
    toml_skip(p, 1);
    return true;
}

// Nothing may extend an inline table once it is closed. Freezing it alone is enough: every path to what is below leads
// through it.
static bool read_inline_table(struct toml_parser *p, struct toml_node *table)
{
    table->type = TOML_TABLE;
    toml_skip(p, 1);
    toml_skip_blanks(p);
    if (toml_peek(p, 0) == '}') {
        toml_skip(p, 1);
        table->flags = TOML_F_FROZEN;
        return true;
    }
    for (;;) {
        if (toml_peek(p, 0) == '}') {
            return toml_fail(p, p->pos, "an inline table ends without a comma");
        }
        if (!read_key_value(p, table)) {
            return false;
        }
        toml_skip_blanks(p);
        if (toml_peek(p, 0) == '}') {
            break;
        }
        if (toml_peek(p, 0) != ',') {
            return toml_fail_here(p, "',' or '}' in the inline table");
        }
        toml_skip(p, 1);
        toml_skip_blanks(p);
    }
    toml_skip(p, 1);
    table->flags = TOML_F_FROZEN;
    return true;
}

static bool read_value(struct toml_parser *p, struct toml_node *node)
{
    switch (toml_peek(p, 0)) {
    case '"':
    case '\'':
        node->type = TOML_STRING;
        return toml_read_string(p, &node->text, true);
    case '[':
        return read_array(p, node);
    case '{':
        return read_inline_table(p, node);
    default:
        return toml_read_scalar(p, node);
    }
}

// ---- [headers] ----

// One part before the last of a header: descends into tables and into the last table of an array of tables.
static struct toml_node *enter_header(struct toml_parser *p, struct toml_node *table, const struct key *key)
{
    struct toml_node *next = member_find(p, table, key->text);

    if (!next) {
        return table_add(p, table, key, key->pos);
    }
    if (next->type == TOML_ARRAY && (next->flags & TOML_F_TABLES)) {
        return next->list.last;
    }
    if (next->type != TOML_TABLE) {
        (void)fail_twice(p, key, "is no table", next);
        return NULL;
    }
    if (next->flags & TOML_F_FROZEN) {
        (void)fail_twice(p, key, "is an inline table, which cannot be extended", next);
        return NULL;
    }
    return next;
}

// The last part of [header]: the table it opens.
static struct toml_node *open_table(struct toml_parser *p, struct toml_node *parent, const struct key *key)
{
    struct toml_node *table = member_find(p, parent, key->text);

    if (!table) {
        table = table_add(p, parent, key, key->pos);
    } else if (table->type == TOML_ARRAY && (table->flags & TOML_F_TABLES)) {
        (void)fail_twice(p, key, "is an array of tables: write [[ ]]", table);
        return NULL;
    } else if (table->type != TOML_TABLE) {
        (void)fail_twice(p, key, "is there already", table);
        return NULL;
    } else if (table->flags) {
        (void)fail_twice(p, key, "is a table defined already", table);
        return NULL;
    } else {
        table->pos = table->key_pos = key->pos;
    }
    if (table) {
        table->flags = TOML_F_HEADER;
    }
    return table;
}

// The last part of [[header]]: a new element.
static struct toml_node *open_element(struct toml_parser *p, struct toml_node *parent, const struct key *key)
{
    struct toml_node *array = member_find(p, parent, key->text);
    struct toml_node *table;

    if (!array) {
        array = child_add(p, parent, key, key->pos);
        if (!array) {
            return NULL;
        }
        array->type = TOML_ARRAY;
        array->flags = TOML_F_TABLES;
    } else if (array->type != TOML_ARRAY || !(array->flags & TOML_F_TABLES)) {
        (void)fail_twice(p, key, "is no array of tables", array);
        return NULL;
    }
    table = table_add(p, array, NULL, key->pos);
    if (table) {
        table->flags = TOML_F_HEADER;
    }
    return table;
}

// At '['. Returns the table that the following lines fill, NULL after an error.
static struct toml_node *read_header(struct toml_parser *p)
{
    bool element = toml_peek(p, 1) == '[';
    struct toml_node *table = p->root;
    struct key key;

    p->section++;
    toml_skip(p, element ? 2 : 1);
    toml_skip_blanks(p);
    if (!read_key_part(p, &key)) {
        return NULL;
    }
    while (skip_dot(p)) {
        table = enter_header(p, table, &key);
        if (!table || !read_key_part(p, &key)) {
            return NULL;
        }
    }
    if (toml_peek(p, 0) != ']' || (element && toml_peek(p, 1) != ']')) {
        (void)toml_fail_here(p, element ? "']]' after the table's name" : "']' after the table's name");
        return NULL;
    }
    toml_skip(p, element ? 2 : 1);
    return element ? open_element(p, table, &key) : open_table(p, table, &key);
}

// ---- the document ----

static bool read_line_end(struct toml_parser *p)
{
    toml_skip_blanks(p);
    toml_skip_comment(p);
    return toml_at_end(p) || toml_at_newline(p) || toml_fail_here(p, "the end of the line");
}

static bool read_document(struct toml_parser *p)
{
    struct toml_node *table = p->root;

    for (;;) {
        toml_skip_lines(p);
        if (toml_at_end(p)) {
            return true;
        }
        if (toml_peek(p, 0) == '[') {
            table = read_header(p);
            if (!table) {
                return false;
            }
        } else if (!read_key_value(p, table)) {
            return false;
        }
        if (!read_line_end(p)) {
            return false;
        }
    }
}

enum status toml_parse(struct toml_node **root, const char *text, size_t len, struct toml_arena *arena,
                       struct toml_error *error)
{
    struct toml_pos start = {1, 1};
    struct toml_parser *p = toml_arena_take(arena, sizeof(*p)); // too large for a small stack

    *error = (struct toml_error){.pos = start, .message = "no memory set aside for the parser"};
    if (!p) {
        return E_NOMEM;
    }
    p->cur = text;
    p->end = text + len;
    p->pos = start;
    p->arena = arena;
    p->error = error;
    p->root = toml_alloc(p, sizeof(*p->root));
    if (!p->root) {
        return p->status;
    }
    p->root->type = TOML_TABLE;
    p->root->flags = TOML_F_HEADER;
    p->root->pos = p->root->key_pos = start;
    p->root->key = (struct toml_text){"", 0};
    if (!toml_check_text(p) || !read_document(p)) {
        return p->status;
    }
    *root = p->root;
    return OK;
}
