// SPDX-License-Identifier: Apache-2.0
//
// What the tests of GICv2 for guests share: machines with the emulated CPU interface, and a guest's accesses.
// Each vCPU runs on a physical CPU of its own.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/cpu/cpu.h"
#include "kernel/mm/pt_format.h"
#include "tests/unit/vmm/irqchip/fake_gic.h"

#define GICC UINT64_C(0x08010000)
#define GICV_PA UINT64_C(0x70006000)
#define SPI 40u
#define TIMER 30u // what a guest with the physical timer uses

enum {
    CTLR = 0x000,
    TYPER = 0x004,
    IGROUPR = 0x080,
    ISENABLER = 0x100,
    ICENABLER = 0x180,
    ISPENDR = 0x200,
    ICPENDR = 0x280
};
enum {
    ISACTIVER = 0x300,
    ICACTIVER = 0x380,
    IPRIORITYR = 0x400,
    ITARGETSR = 0x800,
    ICFGR = 0xc00,
    SGIR = 0xf00
};
enum {
    CPENDSGIR = 0xf10,
    SPENDSGIR = 0xf20,
    PIDR2 = 0xfe8
};
enum {
    C_CTLR = 0x00,
    C_PMR = 0x04,
    C_BPR = 0x08,
    C_IAR = 0x0c,
    C_EOIR = 0x10,
    C_RPR = 0x14,
    C_HPPIR = 0x18,
    C_ABPR = 0x1c
};
enum {
    C_AIAR = 0x20,
    C_AEOIR = 0x24,
    C_AHPPIR = 0x28,
    C_APR = 0xd0,
    C_IIDR = 0xfc,
    C_DIR = 0x1000
};

static struct cpu cpus[FAKE_CPUS];
static struct host_cpu_public machine;
static struct host_cpu_public *real_machine;

// The CPU on which vCPU v runs becomes the running one.
static inline void on(unsigned v)
{
    fake.current = fake.on[v];
    cpus[fake.current].index = fake.current;
    cpus[fake.current].locks.id = fake.current + 1;
    machine.this_cpu = &cpus[fake.current];
}

static inline uint64_t rd(unsigned v, uint64_t addr)
{
    on(v);
    fake_enter(v);
    return fake_read(v, addr, 4);
}

static inline void wr(unsigned v, uint64_t addr, uint64_t value)
{
    on(v);
    fake_enter(v);
    assert_true(fake_write(v, addr, 4, value));
}

static inline void wr8(unsigned v, uint64_t addr, uint64_t value)
{
    on(v);
    fake_enter(v);
    assert_true(fake_write(v, addr, 1, value));
}

static inline uint32_t cc(unsigned v, unsigned reg)
{
    return (uint32_t)rd(v, GICC + reg);
}

static inline void set_cc(unsigned v, unsigned reg, uint32_t value)
{
    wr(v, GICC + reg, value);
}

static inline uint32_t lines(unsigned v)
{
    on(v);
    fake_enter(v);
    return fake.vcpu[v].arch.irq_lines;
}

static inline void create(unsigned vcpus, unsigned spis, enum status expected)
{
    struct plan_gic plan = {.version = 2,
                            .gicd_base = FAKE_GICD,
                            .gicd_size = 0x1000,
                            .gicc_base = GICC,
                            .gicc_size = 0x2000,
                            .spi_count = spis};

    memset(&fake, 0, sizeof(fake));
    fake.lrs = 4;
    fake.vm.vcpu_count = vcpus;
    fake.vm.vcpus = fake.vcpus;
    for (unsigned v = 0; v < vcpus; v++) {
        fake.vcpus[v] = &fake.vcpu[v];
    }
    irq_set_chip(&fake_chip);
    assert_int_equal(io_bus_init(&fake.vm.mmio), OK);
    assert_int_equal(aspace_create(&fake.vm.stage2, &pt_arm64_stage2_40), OK);
    assert_int_equal(vgic_create(&fake.vm, &plan, &fake.chip), expected);
    real_machine = host_cpu_now;
    host_cpu_now = &machine;
    on(0);
    if (expected != OK) {
        return;
    }
    fake.chip->notify = fake_notify;
    for (unsigned v = 0; v < vcpus; v++) {
        fake.on[v] = v;
        on(v);
        fake.chip->ops->load(fake.chip, v);
    }
}

// Emulated CPU interface; every vCPU has set up its own.
static inline void start(unsigned vcpus)
{
    gic_virt_set(&fake_virt); // of a GICv3 host: not used, and has nothing to hide
    create(vcpus, 256, OK);
    wr(0, FAKE_GICD + CTLR, 3);
    for (unsigned v = 0; v < vcpus; v++) {
        set_cc(v, C_PMR, 0xff);
        set_cc(v, C_CTLR, 1);
    }
}

static inline void end_machine(void)
{
    host_cpu_now = real_machine;
    io_bus_destroy(&fake.vm.mmio);
    aspace_destroy(&fake.vm.stage2);
    gic_virt_set(NULL);
}

static inline void stop(void)
{
    for (unsigned v = 0; v < fake.chip->vcpu_count; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->destroy(fake.chip);
    end_machine();
}

static inline void setup(unsigned v, unsigned irq, unsigned priority)
{
    wr8(v, FAKE_GICD + IPRIORITYR + irq, priority);
    wr(v, FAKE_GICD + ISENABLER + irq / 32 * 4, UINT64_C(1) << irq % 32);
}

static inline void line(unsigned irq, bool level)
{
    fake_line(irq, level);
}

static inline void serve(unsigned v, uint32_t id)
{
    assert_int_equal(lines(v), VCPU_LINE_IRQ);
    assert_int_equal(cc(v, C_IAR), id);
    set_cc(v, C_EOIR, id);
}

static inline void idle(unsigned v)
{
    assert_int_equal(lines(v), 0);
    assert_int_equal(cc(v, C_IAR), 1023);
}
