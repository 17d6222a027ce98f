// SPDX-License-Identifier: Apache-2.0
//
// What the stories about the virtual GICv3 are told with: a machine with `lr_count` list registers, a guest
// that serves interrupts, and cmocka rows that run a test with few, many and one of them.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/irqchip/fake_gic.h"

#define CTLR 0x000
#define IGROUPR 0x080
#define ISENABLER 0x100
#define ICENABLER 0x180
#define ISPENDR 0x200
#define ICPENDR 0x280
#define ISACTIVER 0x300
#define ICACTIVER 0x380
#define SPI 40u
#define TIMER 27u

static unsigned lr_count = 4;

static inline void start(unsigned vcpus)
{
    assert_true(fake_start(vcpus, lr_count, 256));
    assert_true(fake_write(0, FAKE_GICD + CTLR, 4, 2));
}

static inline void stop(void)
{
    assert_false(fake.stuck);
    fake_stop();
}

// Acknowledge, expect, end.
static inline void serve(unsigned vcpu, unsigned irq)
{
    assert_int_equal(fake_ack(vcpu), irq);
    fake_end(vcpu, irq);
}

static inline void idle(unsigned vcpu)
{
    assert_int_equal(fake_ack(vcpu), FAKE_SPURIOUS);
}

static inline void route(unsigned irq, uint64_t affinity)
{
    assert_true(fake_write(0, FAKE_GICD + 0x6000 + irq * 8, 8, affinity));
    fake_enter_all();
}

static inline int few(void **state)
{
    (void)state;
    lr_count = 4;
    return 0;
}

static inline int many(void **state)
{
    (void)state;
    lr_count = 16;
    return 0;
}

static inline int one(void **state)
{
    (void)state;
    lr_count = 1;
    return 0;
}

#define WITH_LRS(t) \
    cmocka_unit_test_setup(t, few), cmocka_unit_test_setup(t, many), cmocka_unit_test_setup(t, one)
