// SPDX-License-Identifier: Apache-2.0
//
// The virtual PLIC's memory map (RISC-V PLIC specification 1.0.0, chapter 3).
//
// The map has 2 MiB and more, nearly all of it empty: priorities, pending bits and one context's registers
// are tables, and what remains, which context an address belongs to, is arithmetic. Machine contexts (even
// numbers) and those of harts that do not exist read as zero and ignore writes. Registers have 32 bits and
// know no other width.
#include "vmm/irqchip/vplic_state.h"

#define LOW_SIZE 0x2000u // priorities, pending bits
#define ENABLE_BASE 0x2000u
#define ENABLE_STRIDE 0x80u
#define CONTEXT_BASE 0x200000u
#define CONTEXT_SHIFT 12u // a page for each
#define CONTEXT_SIZE 8u   // of it in use

static uint64_t priority_read(void *dev, const struct vreg_access *a)
{
    struct vplic *p = dev;

    return __atomic_load_n(&p->priority[1 + (size_t)a->index], __ATOMIC_RELAXED);
}

static void priority_write(void *dev, const struct vreg_access *a)
{
    vplic_write_priority(dev, a->index + 1, (uint32_t)a->value, a->vcpu);
}

static uint64_t pending_read(void *dev, const struct vreg_access *a)
{
    struct vplic *p = dev;

    return __atomic_load_n(&p->pending[a->index], __ATOMIC_RELAXED);
}

static uint64_t threshold_read(void *dev, const struct vreg_access *a)
{
    struct vplic_context *c = dev;

    (void)a;
    return __atomic_load_n(&c->threshold, __ATOMIC_RELAXED);
}

static void threshold_write(void *dev, const struct vreg_access *a)
{
    vplic_write_threshold(dev, (uint32_t)a->value, a->vcpu);
}

static uint64_t claim_read(void *dev, const struct vreg_access *a)
{
    return vplic_claim(dev, a->vcpu);
}

static void complete_write(void *dev, const struct vreg_access *a)
{
    vplic_complete(dev, (uint32_t)a->value, a->vcpu);
}

#define ROW(off, n, rd, wr, id)                                                                    \
    {                                                                                              \
        .offset = (off), .count = (n), .size = 4, .widths = VREG_W32, .read = (rd), .write = (wr), \
        .name = (id)                                                                               \
    }

// Source 0 does not exist; neither do those from VPLIC_SOURCES on. They read as zero, in 32 bits too.
#define PENDING_BASE 0x1000u
static const struct vreg low_rows[] = {
    ROW(0x0000, 1, NULL, NULL, "no source"),
    ROW(0x0004, VPLIC_SOURCES - 1, priority_read, priority_write, "priority"),
    ROW(4 * VPLIC_SOURCES, PENDING_BASE / 4 - VPLIC_SOURCES, NULL, NULL, "no sources"),
    ROW(PENDING_BASE, VPLIC_WORDS, pending_read, NULL, "pending"),
    ROW(PENDING_BASE + 4 * VPLIC_WORDS, (LOW_SIZE - PENDING_BASE) / 4 - VPLIC_WORDS, NULL, NULL,
        "no sources"),
};

static const struct vreg ctx_rows[] = {
    ROW(0x0, 1, threshold_read, threshold_write, "threshold"),
    ROW(0x4, 1, claim_read, complete_write, "claim/complete"),
};

// The S-mode context with this number, NULL when there is none.
static struct vplic_context *context_of(struct vplic *p, uint64_t number)
{
    return (number & 1) && number / 2 < p->chip.vcpu_count ? &p->contexts[number / 2] : NULL;
}

static enum io_result nobody(struct io_access *a)
{
    if (!a->write) {
        a->value = 0;
    }
    return IO_DONE;
}

static enum io_result enable_access(struct vplic *p, struct io_access *a)
{
    uint64_t off = a->offset - ENABLE_BASE;
    struct vplic_context *c = context_of(p, off / ENABLE_STRIDE);
    unsigned word = (unsigned)(off % ENABLE_STRIDE / 4);

    if (!c || word >= VPLIC_WORDS) {
        return nobody(a);
    }
    if (a->write) {
        vplic_write_enable(c, word, (uint32_t)a->value, a->vcpu);
    } else {
        a->value = __atomic_load_n(&c->enable[word], __ATOMIC_RELAXED);
    }
    return IO_DONE;
}

static enum io_result context_access(struct vplic *p, struct io_access *a)
{
    uint64_t off = a->offset - CONTEXT_BASE;
    struct vplic_context *c = context_of(p, off >> CONTEXT_SHIFT);

    off &= MASK64(0, CONTEXT_SHIFT);
    if (!c || off >= CONTEXT_SIZE) {
        return nobody(a);
    }
    a->offset = off;
    return vreg_map_access(&p->ctx_map, c, a);
}

enum io_result vplic_access(void *dev, struct io_access *a)
{
    struct vplic *p = dev;

    if (a->offset < ENABLE_BASE) {
        return vreg_map_access(&p->low_map, p, a);
    }
    if (a->size != 4 || a->offset % 4 != 0) {
        return IO_BAD;
    }
    return a->offset < CONTEXT_BASE ? enable_access(p, a) : context_access(p, a);
}

enum status vplic_maps_create(struct vplic *p)
{
    enum status st = vreg_map_create(&p->low_map, low_rows, ARRAY_SIZE(low_rows), LOW_SIZE);

    return st != OK ? st : vreg_map_create(&p->ctx_map, ctx_rows, ARRAY_SIZE(ctx_rows), CONTEXT_SIZE);
}

void vplic_maps_destroy(struct vplic *p)
{
    vreg_map_destroy(&p->low_map);
    vreg_map_destroy(&p->ctx_map);
}
