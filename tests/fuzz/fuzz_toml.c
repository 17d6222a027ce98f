// SPDX-License-Identifier: Apache-2.0
//
// Fuzzing the TOML parser: any text, in an arena that is sometimes too small. A tree that comes out must be sound.
#include "kernel/lib/toml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_text(struct toml_text text, const struct toml_arena *arena)
{
    require(text.ptr >= arena->base && text.ptr + text.len < arena->base + arena->size);
    require(text.ptr[text.len] == '\0');
}

static void check_node(const struct toml_node *node, const struct toml_arena *arena, unsigned depth)
{
    const struct toml_node *last = NULL;
    uint32_t count = 0;

    require(depth < TOML_DEPTH_MAX);
    require((unsigned)node->type < TOML_TYPE_COUNT);
    require(node->pos.line >= 1 && node->pos.column >= 1);
    if (node->type == TOML_INTEGER || node->type == TOML_BOOLEAN) {
        return;
    }
    if (node->type != TOML_TABLE && node->type != TOML_ARRAY) {
        check_text(node->text, arena);
        return;
    }
    toml_for_each(it, node)
    {
        require(it->parent == node);
        if (node->type == TOML_TABLE) {
            check_text(it->key, arena);
            // A key holding a NUL is found by a shorter name, if at all.
            require(strlen(it->key.ptr) != it->key.len || toml_get(node, it->key.ptr) == it);
        }
        check_node(it, arena, depth + 1);
        last = it;
        count++;
    }
    require(node->list.last == last && node->list.count == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // Enough for any input, or so little that the end comes somewhere in the middle.
    size_t room = size > 0 && data[0] % 4 == 0 ? 2200 + size : 4096 + size * 128;
    char *block = malloc(room), *text = malloc(size + 1);
    struct toml_arena arena = {.base = block, .size = room};
    struct toml_node *root = NULL;
    struct toml_error error;
    enum status s;

    require(block && text);
    if (size > 0) {
        memcpy(text, data, size);
    }
    s = toml_parse(&root, text, size, &arena, &error);
    free(text); // the tree must not need it
    if (s == OK) {
        check_node(root, &arena, 0);
    } else {
        require(s == E_CONFIG || s == E_NOMEM);
        require(error.pos.line >= 1 && error.pos.column >= 1 && error.message[0] != '\0');
    }
    free(block);
    return 0;
}
