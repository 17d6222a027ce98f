// SPDX-License-Identifier: Apache-2.0
//
// Twins: a device that random accesses of every width have brought somewhere, and another that its saved state was loaded into.
// From there on both must answer and interrupt alike. Nothing on the way may fail, whatever the guest does.
#pragma once

#include "tests/unit/vmm/devices/bench.h"

#include "arch/host/host.h"
#include "arch/time.h"

#define TWINS_SEEDS 60
#define TWINS_STEPS 150

struct twin {
    struct bench b;
    struct vdev *dev;
};

struct twins_place {
    uint64_t base, size;
    bool port;
};

struct twins {
    void (*create)(struct twin *t);
    const struct twins_place *places;
    unsigned place_count;
    uint64_t longest; // between two accesses, host ticks
};

static inline uint64_t twins_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

struct twins_step {
    uint64_t addr, value, pause;
    uint8_t size;
    bool port, write;
};

static inline struct twins_step twins_next(const struct twins *w, uint64_t *seed)
{
    const struct twins_place *p = &w->places[twins_random(seed) % w->place_count];
    struct twins_step s = {.size = (uint8_t)(1u << twins_random(seed) % 4),
                           .write = twins_random(seed) % 5 < 3,
                           .addr = p->base + twins_random(seed) % p->size,
                           .port = p->port,
                           .value = twins_random(seed)};

    if (twins_random(seed) % 3 == 0) { // most registers want few bits
        s.value &= 0xff;
    }
    if (twins_random(seed) % 2) { // most registers are narrow
        s.size = p->port ? 1 : 4;
        s.addr = align_down(s.addr, s.size);
    }
    if (twins_random(seed) % 2) {
        s.pause = twins_random(seed) % (twins_random(seed) % 2 ? 2000 : w->longest);
    }
    return s;
}

// What the access gave, or all ones where nobody answered.
static inline uint64_t twins_step(struct twin *t, const struct twins_step *s)
{
    uint64_t v = s->write ? s->value : 0;
    enum io_result r = s->port ? bench_port(&t->b, s->addr, s->size, s->write, &v)
                               : bench_access(&t->b, s->addr, s->size, s->write, &v);

    if (r == IO_DONE && !s->write && s->size < 8) {
        assert_int_equal(v >> 8 * s->size, 0);
    }
    t->b.vm.state = VM_RUNNING;
    return r == IO_DONE && !s->write ? v : UINT64_MAX;
}

static inline void twins_same(const struct twin *a, const struct twin *b, const unsigned *behind)
{
    assert_memory_equal(a->b.level, b->b.level, sizeof(a->b.level));
    assert_int_equal(a->b.vm.stop_reason, b->b.vm.stop_reason);
    for (unsigned i = 0; i < BENCH_LINES; i++) {
        assert_int_equal(a->b.edges[i] - b->b.edges[i], behind[i]);
    }
}

static inline void twins_birth(const struct twins *w, struct twin *t)
{
    bench_init(&t->b);
    t->b.vm.time_offset = arch_time_now();
    w->create(t);
}

static inline void twins_death(struct twin *t)
{
    t->dev->ops->destroy(t->dev);
    bench_fini(&t->b);
}

static inline void twins_live(const struct twins *w, uint64_t seed)
{
    static uint8_t state[4096], end[2][4096];
    struct twin *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
    unsigned behind[BENCH_LINES];
    uint32_t size;

    twins_birth(w, a);
    twins_birth(w, b);
    size = a->dev->ops->state_size;
    for (unsigned i = 0; i < TWINS_STEPS; i++) {
        struct twins_step s = twins_next(w, &seed);

        (void)twins_step(a, &s);
        host_time_advance(s.pause);
    }
    assert_int_equal(vdev_save(a->dev, state, sizeof(state)), OK);
    assert_int_equal(vdev_load(b->dev, a->dev->ops->state_version, state, size), OK);
    b->b.vm.stop_reason = a->b.vm.stop_reason;
    for (unsigned i = 0; i < BENCH_LINES; i++) {
        behind[i] = a->b.edges[i] - b->b.edges[i];
    }
    for (unsigned i = 0; i < TWINS_STEPS; i++) {
        struct twins_step s = twins_next(w, &seed);

        assert_int_equal(twins_step(a, &s), twins_step(b, &s));
        twins_same(a, b, behind);
        host_time_advance(s.pause);
        twins_same(a, b, behind);
    }
    assert_int_equal(vdev_save(a->dev, end[0], sizeof(end[0])), OK);
    assert_int_equal(vdev_save(b->dev, end[1], sizeof(end[1])), OK);
    assert_memory_equal(end[0], end[1], size);
    twins_death(a);
    twins_death(b);
    free(a);
    free(b);
}

static inline void twins_run(const struct twins *w)
{
    for (uint64_t seed = 1; seed <= TWINS_SEEDS; seed++) {
        twins_live(w, seed * UINT64_C(0x9E3779B97F4A7C15));
    }
}

// No random state may bring a device down: it is refused, or it lives with it.
static inline void twins_load_garbage(const struct twins *w)
{
    static uint8_t state[4096];
    uint64_t seed = 4711;

    for (unsigned i = 0; i < 400; i++) {
        struct twin *t = malloc(sizeof(*t));
        struct twins_step s;
        uint32_t size;

        twins_birth(w, t);
        size = t->dev->ops->state_size;
        assert_int_equal(vdev_save(t->dev, state, sizeof(state)), OK);
        for (unsigned k = 0; size && k < 1 + i % 8; k++) {
            state[twins_random(&seed) % size] = (uint8_t)twins_random(&seed);
        }
        enum status st = vdev_load(t->dev, t->dev->ops->state_version, state, size);

        assert_true(st == OK || st == E_CORRUPT);
        for (unsigned k = 0; k < 20; k++) {
            s = twins_next(w, &seed);
            (void)twins_step(t, &s);
            host_time_advance(s.pause);
        }
        twins_death(t);
        free(t);
    }
}
