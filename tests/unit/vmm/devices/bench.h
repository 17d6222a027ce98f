// SPDX-License-Identifier: Apache-2.0
//
// A bench for device tests: a VM with buses and an interrupt controller that records levels, and register
// accesses through the bus as a vCPU makes them.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/core/vm.h"

#define BENCH_LINES 64

struct bench {
    struct vm vm;
    struct vm_config config;
    struct virqchip chip;
    struct io_cache cache, port_cache;
    bool level[BENCH_LINES];
    unsigned edges[BENCH_LINES]; // changes of level
};

static inline void bench_set_line(struct virqchip *chip, unsigned line, bool level)
{
    struct bench *b = container_of(chip, struct bench, chip);

    assert_true(line < BENCH_LINES);
    assert_int_not_equal(b->level[line], level); // a device drives its line only when it changes
    b->level[line] = level;
    b->edges[line]++;
}

static const struct virqchip_ops bench_chip_ops = {.name = "bench", .set_line = bench_set_line};

static inline void bench_init(struct bench *b)
{
    memset(b, 0, sizeof(*b));
    strcpy(b->config.name, "guest");
    b->chip = (struct virqchip){.ops = &bench_chip_ops, .vm = &b->vm};
    b->vm.config = &b->config;
    b->vm.irqchip = &b->chip;
    list_init(&b->vm.devices);
    spin_init(&b->vm.lock, LOCK_VM);
    b->vm.state = VM_RUNNING;
    assert_int_equal(io_bus_init(&b->vm.mmio), OK);
    assert_int_equal(io_bus_init(&b->vm.pio), OK);
}

static inline void bench_fini(struct bench *b)
{
    assert_true(list_empty(&b->vm.devices));
    io_bus_destroy(&b->vm.mmio);
    io_bus_destroy(&b->vm.pio);
}

static inline enum io_result bench_access(struct bench *b, uint64_t addr, uint8_t size, bool write,
                                          uint64_t *value)
{
    struct io_access a = {.size = size, .write = write, .value = *value};
    enum io_result r = io_bus_access(&b->vm.mmio, &b->cache, addr, &a);

    *value = a.value;
    return r;
}

static inline uint32_t bench_read(struct bench *b, uint64_t addr)
{
    uint64_t v = 0xdeadbeef;

    assert_int_equal(bench_access(b, addr, 4, false, &v), IO_DONE);
    return (uint32_t)v;
}

static inline void bench_write(struct bench *b, uint64_t addr, uint32_t value)
{
    uint64_t v = value;

    assert_int_equal(bench_access(b, addr, 4, true, &v), IO_DONE);
}

static inline enum io_result bench_port(struct bench *b, uint64_t port, uint8_t size, bool write,
                                        uint64_t *value)
{
    struct io_access a = {.size = size, .write = write, .value = *value};
    enum io_result r = io_bus_access(&b->vm.pio, &b->port_cache, port, &a);

    *value = a.value;
    return r;
}

static inline uint8_t bench_in(struct bench *b, uint16_t port)
{
    uint64_t v = 0xdeadbeef;

    assert_int_equal(bench_port(b, port, 1, false, &v), IO_DONE);
    return (uint8_t)v;
}

static inline void bench_out(struct bench *b, uint16_t port, uint8_t value)
{
    uint64_t v = value;

    assert_int_equal(bench_port(b, port, 1, true, &v), IO_DONE);
}
