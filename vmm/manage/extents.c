// SPDX-License-Identifier: Apache-2.0
//
// See extents.h. A piece that is not to be had whole is halved, down to 2 MiB, so that stage 2 can use large pages.
#include "vmm/manage/extents.h"

#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "kernel/lib/list.h"
#include "kernel/lib/panic.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "vmm/config/config.h"

#define ZERO_STEP MIB(8) // between two preemption points

struct shared {
    struct extents extents; // first
    struct list_node node;
    char name[CONFIG_NAME_MAX];
    uint64_t size;
    unsigned users;
};

static struct list_node shared_list = {&shared_list, &shared_list};

// A guest starts with its caches off: zeroes must be in memory, not in our caches.
static void scrub(const struct gmem_extent *e)
{
    for (uint64_t off = 0; off < e->size; off += ZERO_STEP) {
        uint64_t step = min_u64(ZERO_STEP, e->size - off);

        arch_zero_pages_coherent(arch_phys_to_virt(hpa(e->hpa.v + off)), step);
    }
}

void extents_scrub(const struct extents *e)
{
    for (uint32_t i = 0; i < e->count; i++) {
        scrub(&e->list[i]);
    }
}

void extents_free(struct extents *e)
{
    while (e->count) {
        e->count--;
        page_free_range(e->list[e->count].hpa, e->list[e->count].size);
    }
}

enum status extents_take(struct extents *e, uint64_t size)
{
    uint64_t piece = size;

    e->count = 0;
    for (uint64_t done = 0; done < size;) {
        struct gmem_extent *x = &e->list[e->count];
        enum status s = E_NOMEM;

        piece = min_u64(piece, size - done);
        if (e->count < EXTENTS_MAX) {
            s = page_alloc_range(piece, piece >= GIB(1) ? GIB(1) : BLOCK_SIZE, &x->hpa);
        }
        if (s != OK && (piece <= BLOCK_SIZE || e->count == EXTENTS_MAX)) {
            extents_free(e);
            return s;
        }
        if (s != OK) {
            piece = align_up(piece / 2, BLOCK_SIZE);
            continue;
        }
        x->offset = done;
        x->size = piece;
        scrub(x);
        done += piece;
        e->count++;
    }
    return OK;
}

static struct shared *find(const char *name)
{
    list_for_each(it, &shared_list)
    {
        struct shared *s = list_entry(it, struct shared, node);

        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

enum status extents_share(const char *name, uint64_t size, const struct extents **out)
{
    struct shared *s = find(name);
    enum status result;

    if (s && s->size != size) {
        return E_CONFIG;
    }
    if (!s) {
        s = pool_alloc(sizeof(*s));
        result = s ? extents_take(&s->extents, size) : E_NOMEM;
        if (result != OK) {
            pool_free(s, sizeof(*s));
            return result;
        }
        snprintf(s->name, sizeof(s->name), "%s", name);
        s->size = size;
        list_push_back(&shared_list, &s->node);
    }
    s->users++;
    *out = &s->extents;
    return OK;
}

void extents_unshare(const struct extents *e)
{
    list_for_each(it, &shared_list)
    {
        struct shared *s = list_entry(it, struct shared, node);

        if (&s->extents != e) {
            continue;
        }
        if (--s->users == 0) {
            extents_scrub(e);
            extents_free(&s->extents);
            list_remove(&s->node);
            pool_free(s, sizeof(*s));
        }
        return;
    }
    panic("shared memory that nobody made");
}
