// SPDX-License-Identifier: Apache-2.0
//
// vmconf dump: the parsed document as JSON. Each value is an object with type, line, column and value; tables keep
// their order as a list of members.
#include "tools/vmconf/vmconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_string(const char *s, size_t len)
{
    (void)putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '"' || c == '\\') {
            (void)printf("\\%c", c);
        } else if (c < 0x20 || c == 0x7F) {
            (void)printf("\\u%04x", c);
        } else {
            (void)putchar(c);
        }
    }
    (void)putchar('"');
}

void json_text(const char *s)
{
    json_string(s, strlen(s));
}

static void dump_value(const struct toml_node *node, unsigned indent);

static void dump_list(const struct toml_node *node, unsigned indent)
{
    bool is_table = node->type == TOML_TABLE;

    (void)putchar('[');
    toml_for_each(it, node)
    {
        (void)printf("%s\n%*s", it == node->list.first ? "" : ",", (int)indent + 2, "");
        if (is_table) {
            (void)printf("{\"key\": ");
            json_string(it->key.ptr, it->key.len);
            (void)printf(", \"key_line\": %u, \"key_column\": %u, ", (unsigned)it->key_pos.line,
                         (unsigned)it->key_pos.column);
        } else {
            (void)putchar('{');
        }
        dump_value(it, indent + 2);
        (void)putchar('}');
    }
    (void)putchar(']');
}

// The members of the value's object, without its braces.
static void dump_value(const struct toml_node *node, unsigned indent)
{
    (void)printf("\"type\": \"%s\", \"line\": %u, \"column\": %u, \"value\": ", toml_type_name(node->type),
                 (unsigned)node->pos.line, (unsigned)node->pos.column);
    switch (node->type) {
    case TOML_INTEGER:
        (void)printf("%lld", (long long)node->integer);
        break;
    case TOML_BOOLEAN:
        (void)printf("%s", node->boolean ? "true" : "false");
        break;
    case TOML_ARRAY:
    case TOML_TABLE:
        dump_list(node, indent);
        break;
    case TOML_STRING:
    case TOML_FLOAT:
    case TOML_DATETIME:
    case TOML_LOCAL_DATETIME:
    case TOML_LOCAL_DATE:
    case TOML_LOCAL_TIME:
    case TOML_TYPE_COUNT:
        json_string(node->text.ptr, node->text.len);
        break;
    }
}

static int dump_text(const struct text_file *file, struct toml_arena *arena)
{
    struct toml_node *root;
    struct toml_error error;

    if (toml_parse(&root, file->text, file->len, arena, &error) != OK) {
        (void)fprintf(stderr, "%s:%u:%u: %s\n", file->path, (unsigned)error.pos.line,
                      (unsigned)error.pos.column, error.message);
        return 1;
    }
    (void)putchar('{');
    dump_value(root, 0);
    (void)printf("}\n");
    return 0;
}

int cmd_dump(const struct options *options)
{
    struct toml_arena arena;
    struct text_file file;
    int rc = 2;

    if (!text_file_read(&file, options->files[0])) {
        return 2;
    }
    arena = (struct toml_arena){.size = file.len * 128 + 65536};
    arena.base = malloc(arena.size);
    if (arena.base) {
        rc = dump_text(&file, &arena);
    }
    free(arena.base);
    free(file.text);
    return rc;
}
