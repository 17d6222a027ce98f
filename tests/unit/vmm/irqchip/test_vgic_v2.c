// SPDX-License-Identifier: Apache-2.0
//
// GICv2 for guests: distributor, emulated CPU interface, and the hardware's (GICV) on fake list registers.
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
static struct gic_virt_ops hw;

// The CPU on which vCPU v runs becomes the running one.
static void on(unsigned v)
{
    fake.current = fake.on[v];
    cpus[fake.current].index = fake.current;
    cpus[fake.current].locks.id = fake.current + 1;
    machine.this_cpu = &cpus[fake.current];
}

static uint64_t rd(unsigned v, uint64_t addr)
{
    on(v);
    fake_enter(v);
    return fake_read(v, addr, 4);
}

static void wr(unsigned v, uint64_t addr, uint64_t value)
{
    on(v);
    fake_enter(v);
    assert_true(fake_write(v, addr, 4, value));
}

static void wr8(unsigned v, uint64_t addr, uint64_t value)
{
    on(v);
    fake_enter(v);
    assert_true(fake_write(v, addr, 1, value));
}

static uint32_t cc(unsigned v, unsigned reg)
{
    return (uint32_t)rd(v, GICC + reg);
}

static void set_cc(unsigned v, unsigned reg, uint32_t value)
{
    wr(v, GICC + reg, value);
}

static uint32_t lines(unsigned v)
{
    on(v);
    fake_enter(v);
    return fake.vcpu[v].arch.irq_lines;
}

static void create(unsigned vcpus, unsigned spis, enum status expected)
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
static void start(unsigned vcpus)
{
    gic_virt_set(&fake_virt); // of a GICv3 host: not used, and has nothing to hide
    create(vcpus, 256, OK);
    wr(0, FAKE_GICD + CTLR, 3);
    for (unsigned v = 0; v < vcpus; v++) {
        set_cc(v, C_PMR, 0xff);
        set_cc(v, C_CTLR, 1);
    }
}

static void end_machine(void)
{
    host_cpu_now = real_machine;
    io_bus_destroy(&fake.vm.mmio);
    aspace_destroy(&fake.vm.stage2);
    gic_virt_set(NULL);
}

static void stop(void)
{
    for (unsigned v = 0; v < fake.chip->vcpu_count; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->destroy(fake.chip);
    end_machine();
}

static void setup(unsigned v, unsigned irq, unsigned priority)
{
    wr8(v, FAKE_GICD + IPRIORITYR + irq, priority);
    wr(v, FAKE_GICD + ISENABLER + irq / 32 * 4, UINT64_C(1) << irq % 32);
}

static void line(unsigned irq, bool level)
{
    fake_line(irq, level);
}

static void serve(unsigned v, uint32_t id)
{
    assert_int_equal(lines(v), VCPU_LINE_IRQ);
    assert_int_equal(cc(v, C_IAR), id);
    set_cc(v, C_EOIR, id);
}

static void idle(unsigned v)
{
    assert_int_equal(lines(v), 0);
    assert_int_equal(cc(v, C_IAR), 1023);
}

static void test_level(void **state)
{
    (void)state;
    start(1);
    assert_true(fake.vm.arch.irq_regs_hidden);
    setup(0, SPI, 0x80);
    idle(0);
    line(SPI, true);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_true(fake.chip->ops->pending(fake.chip, 0));
    assert_int_equal(cc(0, C_HPPIR), SPI);
    assert_int_equal(cc(0, C_RPR), 0xff);
    assert_int_equal(cc(0, C_IAR), SPI);
    assert_int_equal(cc(0, C_RPR), 0x80);
    assert_int_equal(lines(0), 0);
    set_cc(0, C_EOIR, SPI); // still high: again
    serve(0, SPI);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    idle(0);
    assert_int_equal(cc(0, C_RPR), 0xff);
    line(SPI, true);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    line(SPI, false); // lowered before it was taken
    idle(0);
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    stop();
}

static void test_enables(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    line(SPI, true);
    wr(0, FAKE_GICD + ICENABLER + 4, 1u << (SPI - 32));
    idle(0);
    wr(0, FAKE_GICD + ISENABLER + 4, 1u << (SPI - 32));
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    wr(0, FAKE_GICD + CTLR, 0);
    idle(0);
    wr(0, FAKE_GICD + CTLR, 1);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    set_cc(0, C_CTLR, 0);
    idle(0);
    set_cc(0, C_CTLR, 1);
    set_cc(0, C_PMR, 0x80); // not lower than the mask
    idle(0);
    set_cc(0, C_PMR, 0x88);
    serve(0, SPI);
    stop();
}

static void test_sgi_senders(void **state)
{
    (void)state;
    start(4);
    for (unsigned v = 1; v < 4; v++) {
        wr(v, FAKE_GICD + SGIR, 1u << 16 | 3); // SGI 3 to vCPU 0, from each
        wr(v, FAKE_GICD + SGIR, 1u << 16 | 3); // merges
    }
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR), 0x0e000000);
    assert_int_equal(rd(0, FAKE_GICD + ISPENDR) & 0xffff, 1 << 3);
    serve(0, 1u << 10 | 3);
    serve(0, 2u << 10 | 3);
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR), 0x08000000);
    serve(0, 3u << 10 | 3);
    idle(0);
    wr(2, FAKE_GICD + SGIR, 1u << 24 | 5); // all but self
    idle(2);
    serve(0, 2u << 10 | 5);
    serve(1, 2u << 10 | 5);
    serve(3, 2u << 10 | 5);
    wr(2, FAKE_GICD + SGIR, 2u << 24 | 0xffu << 16 | 7); // self
    serve(2, 2u << 10 | 7);
    wr(2, FAKE_GICD + SGIR, 3u << 24 | 0xffu << 16 | 7); // reserved
    wr(2, FAKE_GICD + SGIR, 0xf0u << 16 | 7);            // absent vCPUs
    for (unsigned v = 0; v < 4; v++) {
        idle(v);
    }
    stop();
}

// An SGI that comes again while it is active, from the same and from another sender.
static void test_sgi_active(void **state)
{
    (void)state;
    start(2);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_int_equal(cc(0, C_IAR), 1u << 10 | 3);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    wr(0, FAKE_GICD + SGIR, 1u << 16 | 3);
    assert_int_equal(lines(0), 0);
    set_cc(0, C_EOIR, 3); // another sender's: does not deactivate this one
    set_cc(0, C_EOIR, 1u << 10 | 3);
    serve(0, 3);
    serve(0, 1u << 10 | 3);
    idle(0);
    stop();
}

static void test_sgi_pending_registers(void **state)
{
    (void)state;
    start(2);
    wr(0, FAKE_GICD + SPENDSGIR + 4, 0xff00); // SGI 5, all senders that exist
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR + 4), 0x0300);
    assert_int_equal(rd(1, FAKE_GICD + SPENDSGIR + 4), 0);
    wr8(0, FAKE_GICD + CPENDSGIR + 5, 1); // the one that is offered already
    assert_int_equal(rd(0, FAKE_GICD + CPENDSGIR + 4), 0x0200);
    serve(0, 1u << 10 | 5);
    idle(0);
    wr(0, FAKE_GICD + SPENDSGIR + 4, 0x0300);
    wr(0, FAKE_GICD + CPENDSGIR + 4, 0xffffffff);
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR + 4), 0);
    idle(0);
    wr(0, FAKE_GICD + ISPENDR, 0xffff); // read-only for SGIs
    assert_int_equal(rd(0, FAKE_GICD + ISPENDR), 0);
    wr(0, FAKE_GICD + ICENABLER, 0xffff); // as on a GIC-400
    assert_int_equal(rd(0, FAKE_GICD + ISENABLER) & 0xffff, 0xffff);
    stop();
}

static void test_priorities(void **state)
{
    (void)state;
    start(1);
    for (unsigned i = 0; i < 32; i++) {
        setup(0, SPI + i, 8 * i);
        line(SPI + i, true);
    }
    for (unsigned i = 0; i < 31; i++) { // 0xf8 is masked by the largest mask there is
        assert_int_equal(cc(0, C_IAR), SPI + i);
        line(SPI + i, false);
        set_cc(0, C_EOIR, SPI + i);
    }
    idle(0);
    stop();
}

// All priorities nest: more active than list registers.
static void test_preemption(void **state)
{
    (void)state;
    start(1);
    for (int i = 30; i >= 0; i--) {
        setup(0, SPI + (unsigned)i, 8u * (unsigned)i);
        line(SPI + (unsigned)i, true);
        assert_int_equal(lines(0), VCPU_LINE_IRQ);
        assert_int_equal(cc(0, C_IAR), SPI + (unsigned)i);
        line(SPI + (unsigned)i, false);
        assert_int_equal(cc(0, C_RPR), 8 * i);
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xffffff00);
    assert_int_equal(cc(0, C_APR), 0x7fffffff);
    for (unsigned i = 0; i < 31; i++) {
        set_cc(0, C_EOIR, SPI + i);
        assert_int_equal(cc(0, C_RPR), i == 30 ? 0xff : 8 * (i + 1));
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 8), 0);
    line(SPI, true);
    serve(0, SPI);
    stop();
}

static void test_binary_point(void **state)
{
    (void)state;
    start(1);
    set_cc(0, C_BPR, 0); // the least that there is
    assert_int_equal(cc(0, C_BPR), 2);
    set_cc(0, C_ABPR, 0);
    assert_int_equal(cc(0, C_ABPR), 3);
    set_cc(0, C_BPR, 6); // one bit of group priority
    setup(0, SPI, 0x78);
    setup(0, SPI + 1, 0x08);
    line(SPI, true);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI + 1, true);
    assert_int_equal(lines(0), 0); // the same group
    assert_int_equal(cc(0, C_HPPIR), SPI + 1);
    set_cc(0, C_BPR, 2);
    assert_int_equal(lines(0), 0); // the running priority was recorded by group: 0
    set_cc(0, C_EOIR, SPI);
    serve(0, SPI + 1);
    stop();
}

static void test_groups(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    wr(0, FAKE_GICD + IGROUPR + 4, 1u << (SPI - 32));
    line(SPI, true);
    idle(0); // group 1 is off
    set_cc(0, C_CTLR, 3);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_int_equal(cc(0, C_IAR), 1022); // AckCtl = 0
    assert_int_equal(cc(0, C_HPPIR), 1022);
    assert_int_equal(cc(0, C_AHPPIR), SPI);
    assert_int_equal(cc(0, C_AIAR), SPI);
    set_cc(0, C_AEOIR, SPI);
    set_cc(0, C_CTLR, 7);
    assert_int_equal(cc(0, C_IAR), SPI);
    set_cc(0, C_EOIR, SPI);
    wr(0, FAKE_GICD + IGROUPR + 4, 0);
    assert_int_equal(cc(0, C_AIAR), 1023);
    set_cc(0, C_CTLR, 9); // FIQEn
    assert_int_equal(lines(0), VCPU_LINE_FIQ);
    assert_int_equal(cc(0, C_IAR), SPI);
    assert_int_equal(lines(0), 0);
    stop();
}

static void test_eoi_mode(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    setup(0, SPI + 1, 0x80);
    set_cc(0, C_DIR, SPI); // EOImode 0: no effect
    set_cc(0, C_CTLR, 0x201);
    line(SPI, true);
    assert_int_equal(cc(0, C_IAR), SPI);
    set_cc(0, C_EOIR, SPI);
    idle(0); // still active
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 1u << (SPI - 32));
    line(SPI + 1, true);
    line(SPI + 1, false);
    set_cc(0, C_DIR, SPI);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    set_cc(0, C_DIR, SPI);
    idle(0);
    stop();
}

// Deactivation in an order of its own, of interrupts that had to leave their list registers.
static void test_eoi_mode_evicted(void **state)
{
    (void)state;
    start(1);
    set_cc(0, C_CTLR, 0x201);
    for (unsigned i = 0; i < 24; i++) {
        setup(0, SPI + i, 0x80);
        line(SPI + i, true);
        assert_int_equal(cc(0, C_IAR), SPI + i);
        line(SPI + i, false);
        set_cc(0, C_EOIR, SPI + i);
    }
    for (unsigned i = 0; i < 24; i++) {
        unsigned irq = SPI + (i * 7) % 24;

        assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + irq / 32 * 4) >> irq % 32 & 1, 1);
        set_cc(0, C_DIR, irq);
        assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + irq / 32 * 4) >> irq % 32 & 1, 0);
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0);
    stop();
}

// The software link: the physical interrupt stays active until the guest deactivates.
static void test_timer(void **state)
{
    (void)state;
    start(2);
    for (unsigned v = 0; v < 2; v++) {
        setup(v, TIMER, 0xa0);
    }
    for (unsigned i = 0; i < 100; i++) {
        unsigned v = i & 1;

        on(v);
        fake_phys(v, TIMER, true);
        fake_take_phys(v);
        assert_true(fake_here()->active[TIMER]);
        assert_int_equal(lines(v), VCPU_LINE_IRQ);
        assert_int_equal(cc(v, C_IAR), TIMER);
        fake_phys(v, TIMER, false); // reprogrammed
        assert_true(fake_here()->active[TIMER]);
        set_cc(v, C_EOIR, TIMER);
        assert_false(fake_here()->active[TIMER]);
        idle(v);
    }
    stop();
}

// H24: a timer that is never quiet does not keep the hypervisor busy, and nothing is lost.
static void test_timer_always_late(void **state)
{
    (void)state;
    start(1);
    setup(0, TIMER, 0xa0);
    fake_phys(0, TIMER, true);
    for (unsigned i = 0; i < 100; i++) {
        fake_take_phys(0);
        fake_take_phys(0); // active: silent
        assert_true(fake_here()->active[TIMER]);
        serve(0, TIMER);
        assert_false(fake_here()->active[TIMER]);
    }
    fake_take_phys(0);
    assert_int_equal(cc(0, C_IAR), TIMER); // never ended
    for (unsigned i = 0; i < 100; i++) {
        fake_take_phys(0);
        assert_int_equal(lines(0), 0);
    }
    stop();
}

static void test_switch(void **state)
{
    (void)state;
    start(2);
    fake.on[1] = 0; // both on CPU 0
    on(0);
    fake.chip->ops->put(fake.chip, 0);
    fake.chip->ops->load(fake.chip, 0);
    setup(0, SPI, 0x80);
    setup(0, TIMER, 0xa0);
    line(SPI, true);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(cc(0, C_IAR), SPI);
    on(0);
    fake.chip->ops->put(fake.chip, 0);
    assert_int_equal(fake.vcpu[0].arch.irq_lines, 0);
    assert_false(fake_here()->active[TIMER]); // moves with the vCPU
    fake.chip->ops->load(fake.chip, 1);
    idle(1);
    fake.chip->ops->put(fake.chip, 1);
    fake.chip->ops->load(fake.chip, 0);
    assert_true(fake_here()->active[TIMER]);
    assert_int_equal(cc(0, C_RPR), 0x80);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    fake_phys(0, TIMER, false);
    serve(0, TIMER);
    idle(0);
    on(1);
    fake.chip->ops->load(fake.chip, 1);
    fake.chip->ops->put(fake.chip, 1);
    on(0);
    fake.chip->ops->load(fake.chip, 0);
    stop();
}

static void test_targets(void **state)
{
    (void)state;
    start(3);
    assert_int_equal(rd(2, FAKE_GICD + ITARGETSR), 0x04040404);
    assert_int_equal(rd(0, FAKE_GICD + ITARGETSR + SPI), 0x01010101);
    wr(0, FAKE_GICD + ITARGETSR + SPI, 0xff060402);
    assert_int_equal(rd(0, FAKE_GICD + ITARGETSR + SPI), 0x07060402);
    wr(1, FAKE_GICD + ITARGETSR, 0); // read-only
    assert_int_equal(rd(1, FAKE_GICD + ITARGETSR), 0x02020202);
    for (unsigned i = 0; i < 4; i++) {
        setup(0, SPI + i, 0x40);
        line(SPI + i, true);
    }
    assert_int_equal(cc(0, C_IAR), SPI + 3);
    assert_int_equal(cc(1, C_IAR), SPI);
    assert_int_equal(cc(2, C_IAR), SPI + 1);
    wr8(0, FAKE_GICD + ITARGETSR + SPI + 2, 0x38); // nobody there
    set_cc(1, C_EOIR, SPI);
    line(SPI, false);
    idle(1);
    wr8(0, FAKE_GICD + ITARGETSR + SPI + 2, 1);
    line(SPI + 3, false);
    set_cc(0, C_EOIR, SPI + 3);
    assert_int_equal(cc(0, C_IAR), SPI + 2);
    stop();
}

static void test_banked(void **state)
{
    (void)state;
    start(2);
    wr(0, FAKE_GICD + ISENABLER, 1u << 27);
    assert_int_equal(rd(0, FAKE_GICD + ISENABLER), 0x0800ffff);
    assert_int_equal(rd(1, FAKE_GICD + ISENABLER), 0x0000ffff);
    wr(1, FAKE_GICD + IPRIORITYR + 24, 0x12345678);
    assert_int_equal(rd(1, FAKE_GICD + IPRIORITYR + 24), 0x10305078);
    assert_int_equal(rd(0, FAKE_GICD + IPRIORITYR + 24), 0);
    wr(0, FAKE_GICD + ISACTIVER, 1u << 28);
    assert_int_equal(rd(0, FAKE_GICD + ICACTIVER), 1u << 28);
    assert_int_equal(rd(1, FAKE_GICD + ICACTIVER), 0);
    assert_int_equal(rd(0, FAKE_GICD + TYPER), 8 | 1 << 5);
    assert_int_equal(rd(0, FAKE_GICD + CTLR), 3);
    assert_int_equal(rd(0, FAKE_GICD + PIDR2) >> 4 & 0xf, 2);
    assert_int_equal(cc(0, C_IIDR) >> 16 & 0xf, 2);
    assert_int_equal(rd(0, FAKE_GICD + ICFGR), 0xaaaaaaaa);
    stop();
}

static void test_save(void **state)
{
    uint8_t buf[16384], again[16384];
    uint32_t size;

    (void)state;
    start(2);
    setup(0, SPI, 0x80);
    setup(0, SPI + 1, 0x40);
    wr(0, FAKE_GICD + ITARGETSR + SPI, 0x01010201);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    wr(0, FAKE_GICD + SGIR, 1u << 16 | 3);
    line(SPI, true);
    for (unsigned v = 0; v < 2; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    size = fake.chip->ops->save(fake.chip, buf, sizeof(buf));
    assert_true(size <= sizeof(buf));
    fake.chip->ops->reset(fake.chip);
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), OK);
    assert_int_equal(fake.chip->ops->save(fake.chip, again, sizeof(again)), size);
    assert_memory_equal(buf, again, 24 + 2 * 120); // all of the vCPUs
    for (unsigned v = 0; v < 2; v++) {
        on(v);
        fake.chip->ops->load(fake.chip, v);
    }
    serve(0, 3);
    serve(0, 1u << 10 | 3);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    line(SPI + 1, true);
    idle(0);
    assert_int_equal(cc(1, C_IAR), SPI + 1);
    stop();
}

static void test_reset_while_loaded(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    setup(0, TIMER, 0x80);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    line(SPI, true);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    fake.chip->ops->reset(fake.chip);
    on(0);
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake_here()->active[TIMER]);
    fake.chip->ops->load(fake.chip, 0);
    idle(0);
    assert_int_equal(cc(0, C_CTLR), 0);
    assert_int_equal(cc(0, C_PMR), 0);
    stop();
}

// H20, H21: whatever a guest writes, the controller stays sane: afterwards an ordinary interrupt works.
static void test_random(void **state)
{
    uint64_t seed = 88172645463325252u;

    (void)state;
    start(3);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned v;
        uint64_t addr;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        v = (unsigned)(seed % 3);
        addr = seed >> 8 & 1 ? FAKE_GICD + (seed >> 16 & 0xffc) : GICC + (seed >> 16 & 0x3c);
        addr = (seed >> 5 & 7) == 0 ? GICC + C_DIR : addr;
        on(v);
        if (seed >> 10 & 1) {
            (void)fake_write(v, addr, 4, seed >> 32);
        } else {
            (void)fake_read(v, addr, 4);
        }
        if ((seed >> 11 & 0xf) == 0) {
            line(32 + (unsigned)(seed >> 40 & 0xff), seed >> 48 & 1);
        }
        if ((seed >> 11 & 0x1f) == 1) {
            on(v);
            fake.chip->ops->put(fake.chip, v);
            fake.chip->ops->load(fake.chip, v);
        }
        if ((seed >> 11 & 0xf) == 2) {
            fake_phys(v, TIMER, seed >> 48 & 1);
            fake_take_phys(v);
        }
    }
    for (unsigned v = 0; v < 3; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->reset(fake.chip);
    for (unsigned irq = 32; irq < 32 + 256; irq++) {
        line(irq, false);
    }
    for (unsigned v = 0; v < 3; v++) {
        on(v);
        fake.chip->ops->load(fake.chip, v);
    }
    wr(0, FAKE_GICD + CTLR, 1);
    set_cc(0, C_PMR, 0xff);
    set_cc(0, C_CTLR, 1);
    setup(0, SPI, 0x80);
    line(SPI, true);
    serve(0, SPI);
    stop();
}

// ---- the hardware's CPU interface -----------------------------------------------------------------------

static void start_gicv(unsigned vcpus)
{
    hw = fake_virt;
    hw.version = 2;
    hw.gicv = hpa(GICV_PA);
    hw.gicv_size = 0x2000;
    gic_virt_set(&hw);
    create(vcpus, 256, OK);
    wr(0, FAKE_GICD + CTLR, 3);
    for (unsigned v = 0; v < vcpus; v++) {
        on(v);
        fake_here()->vmcr = VMCR_GRP0 | UINT64_C(0xf8) << VMCR_PMR_SHIFT;
    }
}

static void test_gicv_mapped(void **state)
{
    struct mem_attr attr;
    uint64_t size;
    hpa_t pa;

    (void)state;
    start_gicv(2);
    assert_int_equal(aspace_lookup(&fake.vm.stage2, GICC, &pa, &attr, &size), OK);
    assert_int_equal(pa.v, GICV_PA);
    assert_int_equal(attr.type, MEM_DEVICE);
    assert_int_equal(attr.perm, PERM_R | PERM_W);
    assert_int_equal(aspace_lookup(&fake.vm.stage2, GICC + 0x1000, &pa, &attr, &size), E_NOENT);
    setup(0, SPI, 0x80);
    line(SPI, true);
    on(0);
    assert_int_equal(fake_ack(0), SPI);
    line(SPI, false);
    fake_end(0, SPI);
    assert_int_equal(fake.vcpu[0].arch.irq_lines, 0); // the hardware signals
    for (unsigned v = 0; v < 2; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->destroy(fake.chip);
    assert_int_equal(aspace_lookup(&fake.vm.stage2, GICC, &pa, &attr, &size), E_NOENT);
    end_machine();
}

static void test_gicv_sgi(void **state)
{
    (void)state;
    start_gicv(2);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    wr(0, FAKE_GICD + SGIR, 1u << 16 | 3);
    on(0);
    fake_enter(0);
    assert_int_equal((fake_here()->lr[0] & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT, 1);
    for (unsigned i = 0; i < 2; i++) {
        unsigned id = fake_ack(0);

        assert_int_equal(id, (1 - i) << LR_SOURCE_SHIFT | 3);
        fake_end(0, id);
    }
    assert_int_equal(fake_ack(0), FAKE_SPURIOUS);
    stop();
}

static void test_gicv_dir(void **state)
{
    (void)state;
    start_gicv(1);
    fake_here()->vmcr |= VMCR_EOIM;
    for (unsigned i = 0; i < 8; i++) {
        wr(0, FAKE_GICD + ISACTIVER + 4, 1u << (SPI + i - 32));
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xffu << (SPI - 32));
    set_cc(0, C_DIR, SPI + 6);
    set_cc(0, C_DIR, SPI + 1);
    set_cc(0, C_DIR, 1023);
    set_cc(0, C_DIR, 999);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xbdu << (SPI - 32));
    fake_here()->vmcr &= ~VMCR_EOIM;
    set_cc(0, C_DIR, SPI);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xbdu << (SPI - 32));
    assert_int_equal(cc(0, C_DIR), 0);
    stop();
}

static void test_gicv_unusable(void **state)
{
    (void)state;
    hw = fake_virt;
    hw.version = 2;
    hw.gicv = hpa(GICV_PA + 0x800); // shares its page with who knows what
    hw.gicv_size = 0x2000;
    gic_virt_set(&hw);
    create(1, 64, OK);
    assert_ptr_equal(vgic_of(fake.chip)->hw, &vgic_cpuif_ops);
    stop();
    gic_virt_set(NULL); // no virtualisation extension at all
    create(1, 64, OK);
    setup(0, SPI, 0x10);
    stop();
}

static void test_create_errors(void **state)
{
    (void)state;
    gic_virt_set(NULL);
    create(9, 64, E_INVAL);
    end_machine();
    create(1, 2000, E_INVAL);
    end_machine();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_enables),
        cmocka_unit_test(test_sgi_senders),
        cmocka_unit_test(test_sgi_active),
        cmocka_unit_test(test_sgi_pending_registers),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_preemption),
        cmocka_unit_test(test_binary_point),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_eoi_mode),
        cmocka_unit_test(test_eoi_mode_evicted),
        cmocka_unit_test(test_timer),
        cmocka_unit_test(test_timer_always_late),
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_banked),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_reset_while_loaded),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_gicv_mapped),
        cmocka_unit_test(test_gicv_sgi),
        cmocka_unit_test(test_gicv_dir),
        cmocka_unit_test(test_gicv_unusable),
        cmocka_unit_test(test_create_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
