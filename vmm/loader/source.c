// SPDX-License-Identifier: Apache-2.0
//
// The two kinds of image sources.
#include "vmm/loader/source.h"

#include <string.h>

#include "kernel/fs/fs.h"
#include "vmm/config/embed.h"

static enum status memory_read(void *ctx, uint64_t off, void *buf, uint64_t len)
{
    memcpy(buf, (const uint8_t *)ctx + off, len);
    return OK;
}

void source_from_memory(struct image_source *out, const char *name, const void *data, uint64_t size)
{
    *out = (struct image_source){
        .name = name, .size = size, .read = memory_read, .ctx = (void *)(uintptr_t)data, .memory = data};
}

static enum status fat_read(void *ctx, uint64_t off, void *buf, uint64_t len)
{
    return fs_read(ctx, off, buf, len);
}

enum status source_from_fat(struct image_source *out, const char *path)
{
    uint64_t size;
    enum status st = fs_size(path, &size);

    if (st == OK) {
        *out = (struct image_source){
            .name = path, .size = size, .read = fat_read, .ctx = (void *)(uintptr_t)path};
    }
    return st;
}

enum status source_open(struct image_source *out, const struct boot_config *boot, const char *name)
{
    const struct embed_entry *e;

    *out = (struct image_source){.name = name};
    if (name[0] == 0) {
        return OK;
    }
    if (boot->source == BOOT_FAT) {
        return source_from_fat(out, name);
    }
    e = embed_find(name);
    if (!e) {
        return E_NOENT;
    }
    source_from_memory(out, name, e->start, e->size);
    return OK;
}
