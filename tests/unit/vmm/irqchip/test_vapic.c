// SPDX-License-Identifier: Apache-2.0
//
// The virtual APICs: priorities and acknowledgement, inter-processor interrupts in both modes, level and edge inputs, messages,
// the timer's three modes, the change to x2APIC, and that no access to any offset does harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/time/timer.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vapic.h"

#define CPUS 3u
#define LAPIC UINT64_C(0xFEE00000)
#define IOAPIC UINT64_C(0xFEC00000)
#define TPR 0x80
#define EOI 0xB0
#define LDR 0xD0
#define DFR 0xE0
#define SVR 0xF0
#define ESR 0x280
#define ICR 0x300
#define ICR_HIGH 0x310
#define LVT_TIMER 0x320
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE 0x3E0

static struct {
    struct vm vm;
    struct vm_config config;
    struct vcpu vcpus[CPUS];
    struct vcpu *table[CPUS];
    struct io_cache cache;
    struct virqchip *chip;
    bool notified[CPUS];
} b;

static void notify(struct vm *vm, unsigned vcpu)
{
    (void)vm;
    b.notified[vcpu] = true;
}

static uint32_t access(unsigned vcpu, uint64_t addr, bool write, uint32_t value)
{
    struct io_access a = {.size = 4, .write = write, .value = value, .vcpu = (uint16_t)vcpu};

    assert_int_equal(io_bus_access(&b.vm.mmio, &b.cache, addr, &a), IO_DONE);
    return (uint32_t)a.value;
}

static uint32_t get(unsigned vcpu, uint32_t reg)
{
    return access(vcpu, LAPIC + reg, false, 0);
}

static void put(unsigned vcpu, uint32_t reg, uint32_t value)
{
    (void)access(vcpu, LAPIC + reg, true, value);
}

static void ioapic_put(uint32_t index, uint32_t value)
{
    (void)access(0, IOAPIC, true, index);
    (void)access(0, IOAPIC + 0x10, true, value);
}

static uint32_t ioapic_get(uint32_t index)
{
    (void)access(0, IOAPIC, true, index);
    return access(0, IOAPIC + 0x10, false, 0);
}

static bool msr(unsigned vcpu, unsigned number, bool write, uint64_t value, uint64_t *old)
{
    return b.chip->ops->sysreg(b.chip, vcpu, number, write, value, UINT64_MAX, old);
}

// What the vCPU's line says after it had the chance to look.
static bool asks(unsigned vcpu)
{
    if (b.notified[vcpu]) {
        b.notified[vcpu] = false;
        b.chip->ops->flush(b.chip, vcpu);
    }
    return (b.vcpus[vcpu].arch.irq_lines & VCPU_LINE_IRQ) != 0;
}

// As the vCPU does, whose line falls with it.
static int take(unsigned vcpu)
{
    arch_vcpu_set_irq(&b.vcpus[vcpu].arch, 0);
    return b.chip->ops->acknowledge(b.chip, vcpu);
}

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(64), 1);
    memset(&b, 0, sizeof(b));
    strcpy(b.config.name, "guest");
    b.vm.config = &b.config;
    b.vm.vcpu_count = CPUS;
    b.vm.vcpus = b.table;
    for (unsigned i = 0; i < CPUS; i++) {
        b.table[i] = &b.vcpus[i];
        b.vcpus[i].index = i;
    }
    if (io_bus_init(&b.vm.mmio) != OK || vapic_create(&b.vm, LAPIC, IOAPIC, &b.chip) != OK) {
        return -1;
    }
    b.chip->notify = notify;
    b.vm.irqchip = b.chip;
    for (unsigned i = 0; i < CPUS; i++) {
        put(i, SVR, 0x1FF);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    b.chip->ops->destroy(b.chip);
    io_bus_destroy(&b.vm.mmio);
    return 0;
}

static void self_ipi(unsigned vcpu, uint32_t vector)
{
    put(vcpu, ICR, 0x44000 | vector);
}

static void test_priorities(void **state)
{
    (void)state;
    assert_false(asks(0));
    assert_int_equal(take(0), -1);
    self_ipi(0, 0x31);
    self_ipi(0, 0x52);
    self_ipi(0, 0x55);
    assert_true(asks(0));
    assert_int_equal(take(0), 0x55);
    assert_false(asks(0)); // 0x52 is of the same class, 0x31 of a lower one
    self_ipi(0, 0x60);
    assert_int_equal(take(0), 0x60);
    put(0, EOI, 0);
    assert_false(asks(0));
    put(0, EOI, 0);
    assert_int_equal(take(0), 0x52);
    put(0, EOI, 0);
    put(0, TPR, 0x30);
    assert_false(asks(0));
    assert_int_equal(get(0, 0xA0), 0x30);
    put(0, TPR, 0x2F);
    assert_true(asks(0));
    assert_int_equal(take(0), 0x31);
    put(0, EOI, 0);
    put(0, EOI, 0); // nothing is in service: nothing happens
    assert_false(asks(0));
}

// CR8 is the class of the task priority, whatever mode the APIC is in.
static void test_cr8(void **state)
{
    uint64_t old = 0;

    (void)state;
    put(0, TPR, 0x3F);
    assert_true(msr(0, VLAPIC_CR8, false, 0, &old));
    assert_int_equal(old, 3);
    assert_true(msr(0, VLAPIC_CR8, true, 5, &old));
    assert_int_equal(get(0, TPR), 0x50);
    self_ipi(0, 0x5F);
    assert_false(asks(0));
    assert_true(msr(0, VLAPIC_CR8, true, 4, &old));
    assert_int_equal(take(0), 0x5F);
    assert_false(msr(0, VLAPIC_CR8, true, 16, &old));
    assert_int_equal(get(0, TPR), 0x40);
}

// Vectors below 16 do not exist; the sender finds the error.
static void test_illegal_vector(void **state)
{
    (void)state;
    self_ipi(0, 0x0F);
    assert_false(asks(0));
    put(0, ESR, 0);
    assert_int_equal(get(0, ESR), 0x40);
}

static void test_ipi(void **state)
{
    (void)state;
    put(0, ICR_HIGH, 2u << 24);
    put(0, ICR, 0x40);
    assert_false(asks(1));
    assert_true(asks(2));
    assert_int_equal(take(2), 0x40);
    put(1, ICR, 0xC0041); // all but self
    assert_int_equal(take(0), 0x41);
    assert_false(asks(1));
    put(2, EOI, 0);
    assert_int_equal(take(2), 0x41);
    // Logical, flat: a mask of CPUs.
    put(0, LDR, 1u << 24);
    put(1, LDR, 2u << 24);
    put(2, LDR, 4u << 24);
    put(0, EOI, 0);
    put(2, EOI, 0);
    put(1, ICR_HIGH, 5u << 24);
    put(1, ICR, 0x850);
    assert_int_equal(take(0), 0x50);
    assert_false(asks(1));
    assert_int_equal(take(2), 0x50);
}

// One that is switched off by software keeps nothing from the guest but delivers nothing.
static void test_switched_off(void **state)
{
    (void)state;
    put(0, SVR, 0xFF);
    self_ipi(0, 0x40);
    assert_false(asks(0));
    put(0, LVT_TIMER, 0x40);
    assert_int_equal(get(0, LVT_TIMER), 0x10040); // stays masked
    put(0, SVR, 0x1FF);
    assert_true(asks(0));
}

// INIT: all begins anew but the mode.
static void test_init(void **state)
{
    uint64_t old = 0;

    (void)state;
    assert_true(msr(1, VLAPIC_MSR_BASE, true, LAPIC | 0xC00, &old));
    assert_true(msr(1, 0x83F, true, 0x42, &old));
    assert_int_equal(take(1), 0x42);
    assert_true(msr(1, 0x83F, true, 0x43, &old));
    assert_true(msr(1, 0x808, true, 0x20, &old));
    assert_true(msr(1, 0x832, true, 0x20050, &old)); // the timer, periodic
    assert_true(msr(1, 0x838, true, 1000, &old));
    b.chip->ops->started(b.chip, 1);
    host_time_advance(1000000);
    assert_true(msr(1, VLAPIC_MSR_BASE, false, 0, &old));
    assert_int_equal(old, LAPIC | 0xC00);
    assert_true(msr(1, 0x80F, false, 0, &old));
    assert_int_equal(old, 0xFF);
    assert_true(msr(1, 0x80F, true, 0x1FF, &old));
    assert_false(asks(1));
    assert_int_equal(take(1), -1);
    assert_true(msr(1, 0x808, false, 0, &old));
    assert_int_equal(old, 0);
    assert_true(msr(1, 0x832, false, 0, &old));
    assert_int_equal(old, 0x10000);
}

static bool asks_nmi(unsigned vcpu)
{
    (void)asks(vcpu);
    return (b.vcpus[vcpu].arch.irq_lines & VCPU_LINE_NMI) != 0;
}

// Whether the receiver is switched on or not, from others and from itself; not to one that is off; once for each that is sent.
static void test_nmi(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CPUS; i++) {
        b.vcpus[i].state = VCPU_RUNNING;
    }
    b.vcpus[2].state = VCPU_OFF;
    put(1, SVR, 0xFF);
    put(0, ICR, 0xC0400); // all but self
    assert_false(asks_nmi(0));
    assert_true(asks_nmi(1));
    assert_false(asks_nmi(2));
    b.chip->ops->flush(b.chip, 1);
    assert_false(asks_nmi(1)); // said
    put(0, ICR_HIGH, 0);
    put(0, ICR, 0x400);
    assert_true(asks_nmi(0));
    ioapic_put(0x10 + 2 * 3 + 1, 1u << 24);
    ioapic_put(0x10 + 2 * 3, 0x400);
    b.chip->ops->set_line(b.chip, 3, true);
    assert_true(asks_nmi(1));
    assert_int_equal(b.chip->ops->send_msi(b.chip, 0, 0xFEE00000, 0x400), OK);
    assert_true(asks_nmi(0));
    assert_int_equal(take(0), -1);
}

#define TMR(vector) (0x180 + (vector) / 32 * 16)
#define SELF_IPI 0x3F0

// What is sent is an edge, however the command's level bits are: its end does not reach the I/O APIC.
static void test_ipis_are_edges(void **state)
{
    (void)state;
    put(0, ICR, 0x4C000 | 0x43);
    assert_int_equal(take(0), 0x43);
    assert_int_equal(get(0, TMR(0x43)), 0);
}

// Registers that the mode has not are not written either.
static void test_registers_of_the_other_mode(void **state)
{
    uint64_t old = 0;

    (void)state;
    put(1, SELF_IPI, 0x62);
    assert_false(asks(1));
    assert_int_equal(take(1), -1);
    put(1, LDR, 0x12000000);
    assert_true(msr(1, VLAPIC_MSR_BASE, true, LAPIC | 0xC00, &old));
    assert_false(msr(1, 0x80D, true, 0x77000000, &old));
    assert_false(msr(1, 0x80E, true, 0, &old));
    assert_true(msr(1, 0x830, true, UINT64_C(2) << 32 | 0x61, &old));
    assert_false(msr(1, 0x831, true, 7, &old));
    assert_true(msr(1, 0x830, false, 0, &old));
    assert_int_equal(old >> 32, 2);
}

// Switched off by IA32_APIC_BASE it forgets all that it had.
static void test_off_forgets(void **state)
{
    uint64_t old = 0;

    (void)state;
    self_ipi(1, 0x41);
    assert_int_equal(take(1), 0x41);
    self_ipi(1, 0x42);
    put(1, TPR, 0x20);
    put(1, LVT_TIMER, 0x50);
    put(1, INITIAL, 1000);
    assert_true(msr(1, VLAPIC_MSR_BASE, true, LAPIC, &old));
    assert_false(asks(1));
    assert_true(msr(1, VLAPIC_MSR_BASE, true, LAPIC | 0x800, &old));
    put(1, SVR, 0x1FF);
    host_time_advance(100000);
    assert_false(asks(1));
    assert_int_equal(get(1, TPR), 0);
    assert_int_equal(get(1, LVT_TIMER), 0x10000);
    assert_int_equal(get(1, INITIAL), 0);
    assert_true(msr(0, VLAPIC_MSR_BASE, true, LAPIC | 0x100, &old)); // the first one stays the first
    assert_true(msr(0, VLAPIC_MSR_BASE, false, 0, &old));
    assert_int_equal(old, LAPIC | 0x100);
}

static void test_x2apic(void **state)
{
    uint64_t old = 0;

    (void)state;
    assert_false(msr(1, 0x802, false, 0, &old)); // not in that mode yet: #GP
    assert_true(msr(1, VLAPIC_MSR_BASE, false, 0, &old));
    assert_int_equal(old, LAPIC | 0x800);
    assert_false(msr(1, VLAPIC_MSR_BASE, true, (old & ~UINT64_C(0x800)) | 0x400, &old));
    assert_true(msr(1, VLAPIC_MSR_BASE, true, LAPIC | 0xC00, &old));
    assert_true(msr(1, 0x802, false, 0, &old));
    assert_int_equal(old, 1);
    assert_true(msr(1, 0x80D, false, 0, &old));
    assert_int_equal(old, 2);
    assert_false(msr(1, 0x80E, false, 0, &old)); // no DFR there
    assert_true(msr(1, 0x830, true, UINT64_C(2) << 32 | 0x61, &old));
    assert_int_equal(take(2), 0x61);
    assert_true(msr(1, 0x83F, true, 0x62, &old)); // to itself
    assert_int_equal(take(1), 0x62);
    assert_true(msr(1, 0x80B, true, 0, &old));
    assert_false(msr(1, 0x808, true, UINT64_C(1) << 32, &old));
    assert_false(msr(1, VLAPIC_MSR_BASE, true, LAPIC | 0x800, &old)); // not back
    assert_int_equal(get(1, 0x20), 0);                                // and not by MMIO
}

static void test_level_input(void **state)
{
    (void)state;
    ioapic_put(0x10 + 2 * 9 + 1, 1u << 24);
    ioapic_put(0x10 + 2 * 9, 0x8070); // level, vector 0x70
    b.chip->ops->set_line(b.chip, 9, true);
    assert_true(asks(1));
    assert_int_equal(take(1), 0x70);
    assert_int_equal(ioapic_get(0x10 + 2 * 9) & 0x4000, 0x4000);
    b.chip->ops->set_line(b.chip, 9, true);
    assert_false(asks(1)); // until the end of interrupt
    put(1, EOI, 0);
    assert_int_equal(take(1), 0x70); // still high
    b.chip->ops->set_line(b.chip, 9, false);
    put(1, EOI, 0);
    assert_false(asks(1));
    assert_int_equal(ioapic_get(0x10 + 2 * 9) & 0x4000, 0);
    ioapic_put(0x10 + 2 * 9, 0x18070);
    b.chip->ops->set_line(b.chip, 9, true);
    assert_false(asks(1)); // masked
    ioapic_put(0x10 + 2 * 9, 0x8070);
    assert_true(asks(1)); // level inputs lose nothing
}

static void test_edge_input(void **state)
{
    (void)state;
    ioapic_put(0x10 + 2 * 4, 0x34);
    b.chip->ops->set_line(b.chip, 4, true);
    assert_int_equal(take(0), 0x34);
    put(0, EOI, 0);
    assert_false(asks(0));
    b.chip->ops->set_line(b.chip, 4, true);
    assert_false(asks(0)); // no new edge
    b.chip->ops->set_line(b.chip, 4, false);
    b.chip->ops->set_line(b.chip, 4, true);
    assert_true(asks(0));
    b.chip->ops->set_line(b.chip, 99, true); // no such input
}

static void test_message(void **state)
{
    (void)state;
    assert_int_equal(b.chip->ops->send_msi(b.chip, 0, 0xFEE02000, 0x45), OK);
    assert_int_equal(take(2), 0x45);
    assert_int_equal(b.chip->ops->send_msi(b.chip, 0, 0x1000, 0x45), E_INVAL);
    assert_int_equal(b.chip->ops->send_msi(b.chip, 0, 0xFEE00000, 0x545), E_INVAL); // INIT by message
}

static void test_timer(void **state)
{
    (void)state;
    put(0, DIVIDE, 0xB); // by 1
    put(0, LVT_TIMER, 0xEC);
    put(0, INITIAL, 1000);
    host_time_advance(400);
    assert_in_range(get(0, CURRENT), 1, 600);
    assert_false(asks(0));
    host_time_advance(700);
    assert_int_equal(take(0), 0xEC);
    put(0, EOI, 0);
    assert_int_equal(get(0, CURRENT), 0);
    host_time_advance(5000);
    assert_false(asks(0)); // one shot
    put(0, LVT_TIMER, 0x200EC);
    put(0, DIVIDE, 0x0); // by 2
    put(0, INITIAL, (uint32_t)time_from_ms(1));
    for (unsigned i = 0; i < 3; i++) {
        host_time_advance(time_from_us(2050));
        assert_int_equal(take(0), 0xEC);
        put(0, EOI, 0);
    }
    put(0, INITIAL, 0);
    host_time_advance(10000);
    assert_false(asks(0));
}

// The shortest period does not keep the host busy: its timer is never nearer than 100 us.
static void test_short_period(void **state)
{
    (void)state;
    put(0, DIVIDE, 0xB);
    put(0, LVT_TIMER, 0x200EC);
    put(0, INITIAL, 1);
    host_time_advance(time_from_us(1));
    assert_int_equal(take(0), 0xEC);
    assert_true(host_timer_deadline(0) >= arch_time_now() + time_from_us(90));
    put(0, INITIAL, 0);
}

static void test_deadline(void **state)
{
    uint64_t old = 0;

    (void)state;
    assert_true(msr(0, VLAPIC_MSR_DEADLINE, true, arch_time_now() + 100, &old));
    host_time_advance(200);
    assert_false(asks(0)); // not in that mode
    put(0, LVT_TIMER, 0x400ED);
    put(0, INITIAL, 10);
    assert_true(msr(0, VLAPIC_MSR_DEADLINE, true, arch_time_now() + 1000, &old));
    assert_true(msr(0, VLAPIC_MSR_DEADLINE, false, 0, &old));
    assert_int_not_equal(old, 0);
    host_time_advance(1100);
    assert_int_equal(take(0), 0xED);
    assert_true(msr(0, VLAPIC_MSR_DEADLINE, false, 0, &old));
    assert_int_equal(old, 0);
}

// Every offset in every width: an answer, and nothing else.
static void test_any_access(void **state)
{
    (void)state;
    for (uint64_t off = 0; off < 0x1000; off++) {
        for (unsigned i = 0; i < 8; i++) {
            uint8_t size = (uint8_t)(1u << i % 4);
            struct io_access a = {
                .size = size, .write = i >= 4, .value = off * 0x9E3779B97F4A7C15, .vcpu = 1};

            if (off % size == 0 && (off & ~UINT64_C(0xF)) != ICR) {
                (void)io_bus_access(&b.vm.mmio, &b.cache, LAPIC + off, &a);
                a.value = off * 0x9E3779B97F4A7C15;
                (void)io_bus_access(&b.vm.mmio, &b.cache, IOAPIC + off, &a);
            }
        }
    }
    b.chip->ops->reset(b.chip);
    assert_int_equal(get(1, SVR), 0xFF);
    assert_int_equal(ioapic_get(0x10), 0x10000);
    assert_int_equal(ioapic_get(1), 0x170020);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_priorities),
        TEST(test_illegal_vector),
        TEST(test_cr8),
        TEST(test_ipi),
        TEST(test_switched_off),
        TEST(test_nmi),
        TEST(test_init),
        TEST(test_x2apic),
        TEST(test_level_input),
        TEST(test_edge_input),
        TEST(test_message),
        TEST(test_ipis_are_edges),
        TEST(test_registers_of_the_other_mode),
        TEST(test_off_forgets),
        TEST(test_timer),
        TEST(test_short_period),
        TEST(test_deadline),
        TEST(test_any_access),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
