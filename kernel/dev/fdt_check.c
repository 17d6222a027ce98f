// SPDX-License-Identifier: Apache-2.0
//
// One walk over the structure block with every access bounded. Follows the Devicetree Specification 0.4, chapter 5.
#include "kernel/dev/fdt_check.h"

#include <string.h>

#include "kernel/dev/fdt_token.h"

#define TAG 4u     // bytes of a token, and what all is aligned to
#define VERSION 17 // the first that says how long the structure block is

struct check {
    const char *tree;     // the structure block
    uint32_t size;        // of it, a multiple of TAG
    uint32_t at;          // where the walk is
    uint32_t strings_end; // behind the last NUL of the strings block
    unsigned depth;       // open nodes
    bool closed;          // the root is complete
};

// A node's name begins at `at`: to the token behind it.
static bool skip_name(struct check *c)
{
    const char *name = c->tree + c->at;
    const char *end = memchr(name, 0, c->size - c->at);

    if (!end || (c->depth == 0 && end != name) || c->closed) { // the root has no name, and no brother
        return false;
    }
    c->at = (uint32_t)align_up((uint64_t)(end + 1 - c->tree), TAG);
    c->depth++;
    return c->at <= c->size &&
           c->tree[c->at - 1] == '\0'; // filled up with zeros (5.4.1): fdt_read.c relies on it
}

static bool skip_property(struct check *c)
{
    uint32_t length;

    if (c->depth == 0 || c->size - c->at < 2 * TAG) {
        return false;
    }
    length = fdt_word(c->tree, c->at);
    if (fdt_word(c->tree, c->at + TAG) >= c->strings_end || length > c->size - c->at - 2 * TAG) {
        return false;
    }
    c->at += 2 * TAG + (uint32_t)align_up(length, TAG);
    return c->at <= c->size;
}

static bool close_node(struct check *c)
{
    if (c->depth == 0) {
        return false;
    }
    c->depth--;
    c->closed = c->depth == 0;
    return true;
}

static bool tree_is_sound(struct check *c)
{
    bool sound = true;

    while (sound && c->size - c->at >= TAG) {
        uint32_t token = fdt_word(c->tree, c->at);

        c->at += TAG;
        switch (token) {
        case FDT_BEGIN_NODE:
            sound = skip_name(c);
            break;
        case FDT_PROP:
            sound = skip_property(c);
            break;
        case FDT_END_NODE:
            sound = close_node(c);
            break;
        case FDT_NOP:
            break;
        case FDT_END:
            return c->closed;
        default:
            return false;
        }
    }
    return false;
}

const char *fdt_check(const void *blob, uint64_t size)
{
    const char *strings = NULL;
    struct check c = {0};

    if (fdt_check_header(blob) != 0 || fdt_totalsize(blob) > size || fdt_num_mem_rsv(blob) < 0) {
        return "its header is wrong";
    }
    if (fdt_version(blob) < VERSION) {
        return "its version is older than 17";
    }
    c.tree = (const char *)blob + fdt_off_dt_struct(blob);
    c.size = (uint32_t)align_down(fdt_size_dt_struct(blob), TAG);
    strings = (const char *)blob + fdt_off_dt_strings(blob);
    c.strings_end = fdt_size_dt_strings(blob);
    while (c.strings_end > 0 && strings[c.strings_end - 1] != '\0') {
        c.strings_end--;
    }
    if (fdt_off_dt_struct(blob) % TAG != 0 || !tree_is_sound(&c)) {
        return "its structure is wrong";
    }
    return NULL;
}
