// SPDX-License-Identifier: Apache-2.0
//
// A flattened device tree (Devicetree Specification 0.4, chapter 5) written from front to back, its strings kept apart until
// the end. The first error sticks: it is looked at once, when all is done.
#include "vmm/firmware/fdt_builder.h"

#include <stdio.h>
#include <string.h>

#define TAG 4u // bytes of a token, and what all is aligned to
#define STRUCTURE_AT (sizeof(struct fdt_header) + sizeof(struct fdt_reserve_entry)) // one empty reservation
#define VERSION 17
#define COMPATIBLE_VERSION 16

void tree_note(struct fdt_builder *b, int error)
{
    if (b->error == 0 && error < 0) {
        b->error = error;
    }
}

// Room for `len` more bytes of structure, made whole words with zeros; NULL when there is none, or after an error.
static uint8_t *room_take(struct fdt_builder *b, size_t len)
{
    size_t whole = align_up(len, TAG);
    uint8_t *place = b->fdt + b->used;

    if (b->error || len > b->capacity || whole > b->capacity - b->used) {
        tree_note(b, -FDT_ERR_NOSPACE);
        return NULL;
    }
    memset(place + len, 0, whole - len);
    b->used += whole;
    return place;
}

static void word_put(struct fdt_builder *b, uint32_t word)
{
    uint8_t *place = room_take(b, TAG);

    if (place) {
        fdt32_st(place, word);
    }
}

// The place of a property's name among the strings.
static uint32_t name_offset(struct fdt_builder *b, const char *name)
{
    size_t len = strlen(name) + 1;
    unsigned i = 0;

    while (i < b->name_count && b->names[i].name != name) {
        i++;
    }
    if (i < b->name_count) {
        return b->names[i].offset;
    }
    for (i = 0; i < b->name_count && strcmp(b->names[i].name, name) != 0; i++) {
    }
    if (b->name_count == TREE_NAMES_MAX || len > TREE_STRINGS_MAX - b->strings_used) {
        tree_note(b, -FDT_ERR_NOSPACE);
        return 0;
    }
    b->names[b->name_count].name = name;
    b->names[b->name_count].offset = i < b->name_count ? b->names[i].offset : (uint32_t)b->strings_used;
    if (i == b->name_count) {
        memcpy(b->strings + b->strings_used, name, len);
        b->strings_used += len;
    }
    return b->names[b->name_count++].offset;
}

// A property whose value of `len` bytes is yet to be written; NULL after an error.
static uint8_t *property_put(struct fdt_builder *b, const char *name, size_t len)
{
    uint32_t offset = name_offset(b, name);

    word_put(b, FDT_PROP);
    word_put(b, (uint32_t)len);
    word_put(b, offset);
    return room_take(b, len);
}

void tree_start(struct fdt_builder *b, void *buf, size_t capacity)
{
    b->fdt = buf;
    b->capacity = capacity;
    b->used = 0;
    b->depth = 0;
    b->error = 0;
    b->name_count = 0;
    b->strings_used = 0;
    if (room_take(b, STRUCTURE_AT)) {
        memset(buf, 0, STRUCTURE_AT);
    }
}

void tree_finish(struct fdt_builder *b)
{
    struct fdt_header *h = (struct fdt_header *)(void *)b->fdt;
    size_t strings_at;
    uint8_t *place;

    word_put(b, FDT_END);
    strings_at = b->used;
    place = room_take(b, b->strings_used);
    if (b->depth != 0) {
        tree_note(b, -FDT_ERR_BADSTATE);
    }
    if (b->error) {
        return;
    }
    memcpy(place, b->strings, b->strings_used);
    h->magic = cpu_to_fdt32(FDT_MAGIC);
    h->totalsize = cpu_to_fdt32((uint32_t)b->used);
    h->off_dt_struct = cpu_to_fdt32(STRUCTURE_AT);
    h->off_dt_strings = cpu_to_fdt32((uint32_t)strings_at);
    h->off_mem_rsvmap = cpu_to_fdt32(sizeof(struct fdt_header));
    h->version = cpu_to_fdt32(VERSION);
    h->last_comp_version = cpu_to_fdt32(COMPATIBLE_VERSION);
    h->size_dt_strings = cpu_to_fdt32((uint32_t)b->strings_used);
    h->size_dt_struct = cpu_to_fdt32((uint32_t)(strings_at - STRUCTURE_AT));
}

void tree_begin(struct fdt_builder *b, const char *name)
{
    size_t len = strlen(name) + 1;
    uint8_t *place;

    word_put(b, FDT_BEGIN_NODE);
    place = room_take(b, len);
    if (place) {
        memcpy(place, name, len);
        b->depth++;
    }
}

void tree_begin_at(struct fdt_builder *b, const char *name, uint64_t address)
{
    char full[64];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    tree_begin(b, full);
}

void tree_end(struct fdt_builder *b)
{
    if (b->depth == 0) {
        tree_note(b, -FDT_ERR_BADSTATE);
        return;
    }
    word_put(b, FDT_END_NODE);
    b->depth--;
}

void tree_put_bytes(struct fdt_builder *b, const char *name, const void *data, size_t len)
{
    uint8_t *place = property_put(b, name, len);

    if (place && len) {
        memcpy(place, data, len);
    }
}

void tree_put_flag(struct fdt_builder *b, const char *name)
{
    tree_put_bytes(b, name, NULL, 0);
}

void tree_put_text(struct fdt_builder *b, const char *name, const char *text)
{
    tree_put_bytes(b, name, text, strlen(text) + 1);
}

void tree_put_u32(struct fdt_builder *b, const char *name, uint32_t v)
{
    tree_put_cells(b, name, &v, 1);
}

void tree_put_u64(struct fdt_builder *b, const char *name, uint64_t v)
{
    const uint32_t cells[] = {(uint32_t)(v >> 32), (uint32_t)v};

    tree_put_cells(b, name, cells, 2);
}

void tree_put_cells(struct fdt_builder *b, const char *name, const uint32_t *cells, unsigned count)
{
    uint8_t *place = NULL;

    if (count > TREE_CELLS_MAX) {
        tree_note(b, -FDT_ERR_NOSPACE);
        return;
    }
    place = property_put(b, name, count * sizeof(fdt32_t));
    for (unsigned i = 0; place && i < count; i++) {
        fdt32_st(place + i * sizeof(fdt32_t), cells[i]);
    }
}

// Pairs of (base, size), each two cells.
void tree_put_reg(struct fdt_builder *b, const uint64_t *values, unsigned count)
{
    fdt64_t out[8];

    for (unsigned i = 0; i < count && i < ARRAY_SIZE(out); i++) {
        out[i] = cpu_to_fdt64(values[i]);
    }
    tree_put_bytes(b, "reg", out, count * sizeof(out[0]));
}
