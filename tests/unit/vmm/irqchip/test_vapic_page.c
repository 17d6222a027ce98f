// SPDX-License-Identifier: Apache-2.0
//
// Local APICs that the hardware works on: a small model of it (Intel SDM vol. 3C, 29.1 to 29.4) stands for the processor, and what
// guests see must be what software alone would have shown them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/host/machine.h"
#include "arch/mmu.h"
#include "kernel/mm/pt_format.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vapic_state.h"

#define CPUS 3u
#define LAPIC UINT64_C(0xFEE00000)
#define IOAPIC UINT64_C(0xFEC00000)
#define PAGE_WORDS 1024u
#define EDGE 0x4000u
#define SELF 0x40000u

static struct {
    struct vm vm;
    struct vm_config config;
    struct vcpu vcpus[CPUS];
    struct vcpu *table[CPUS];
    struct io_cache cache;
    struct virqchip *chip;
    bool notified[CPUS];
    // The processor's side.
    uint32_t page[CPUS][PAGE_WORDS];
    enum apic_mode mode[CPUS];
    uint32_t eoi_exits[CPUS][APIC_VECTOR_WORDS];
    unsigned threshold[CPUS], changes[CPUS], exits;
    enum apic_post answer;
    uint32_t posted[CPUS][APIC_VECTOR_WORDS];
    struct apic_page_ops ops;
} b;

static unsigned index_of(struct arch_vcpu *av)
{
    return (unsigned)(container_of(av, struct vcpu, arch) - b.vcpus);
}

// ---- the processor ----------------------------------------

static uint32_t *op_registers(struct arch_vcpu *av)
{
    return b.page[index_of(av)];
}

static void op_attach(struct arch_vm *vm, hpa_t access, gpa_t base)
{
    hpa_t pa;
    struct mem_attr attr;
    uint64_t size;

    assert_ptr_equal(vm, &b.vm.arch);
    assert_int_equal(base.v, LAPIC);
    assert_int_equal(aspace_lookup(&b.vm.stage2, LAPIC, &pa, &attr, &size), OK);
    assert_int_equal(pa.v, access.v);
}

static void op_set_mode(struct arch_vcpu *av, enum apic_mode mode)
{
    b.mode[index_of(av)] = mode;
}

static void op_changed(struct arch_vcpu *av)
{
    b.changes[index_of(av)]++;
}

static void op_report_eoi(struct arch_vcpu *av, const uint32_t vectors[APIC_VECTOR_WORDS])
{
    memcpy(b.eoi_exits[index_of(av)], vectors, sizeof(b.eoi_exits[0]));
}

static void op_report_priority(struct arch_vcpu *av, unsigned priority_class)
{
    assert_true(priority_class <= b.page[index_of(av)][APIC_PAGE_WORD(REG_TPR)] >> 4);
    b.threshold[index_of(av)] = priority_class;
}

static enum apic_post op_post(struct arch_vcpu *av, uint8_t vector)
{
    if (b.answer != APIC_POST_REFUSED) {
        b.posted[index_of(av)][vector / 32] |= UINT32_C(1) << vector % 32;
    }
    return b.answer;
}

static uint32_t op_posted(struct arch_vcpu *av, unsigned w)
{
    return b.posted[index_of(av)][w];
}

static void op_drop_posts(struct arch_vcpu *av)
{
    memset(b.posted[index_of(av)], 0, sizeof(b.posted[0]));
}

static uint32_t *word(unsigned cpu, unsigned reg)
{
    return &b.page[cpu][APIC_PAGE_WORD(reg)];
}

static int highest(unsigned cpu, unsigned first)
{
    for (int v = 255; v >= 0; v--) {
        if (*word(cpu, first + (unsigned)v / 32) >> v % 32 & 1) {
            return v;
        }
    }
    return -1;
}

static bool report(unsigned cpu, unsigned number, uint64_t value)
{
    uint64_t old;

    b.exits++;
    return b.chip->ops->sysreg(b.chip, cpu, number, true, value, UINT64_MAX, &old);
}

// At an entry, and after whatever may have changed priorities: the vector delivered, or -1.
static int delivered(unsigned cpu)
{
    int vector, isr, tpr;

    if (b.notified[cpu]) {
        b.notified[cpu] = false;
        b.chip->ops->flush(b.chip, cpu);
    }
    vector = highest(cpu, REG_IRR);
    isr = highest(cpu, REG_ISR);
    tpr = (int)*word(cpu, REG_TPR);
    if (b.mode[cpu] == APIC_OFF || vector < 0 || vector >> 4 <= tpr >> 4 ||
        (isr >= 0 && vector >> 4 <= isr >> 4)) {
        return -1;
    }
    *word(cpu, REG_IRR + (unsigned)vector / 32) &= ~(UINT32_C(1) << vector % 32);
    *word(cpu, REG_ISR + (unsigned)vector / 32) |= UINT32_C(1) << vector % 32;
    return vector;
}

static void virtual_eoi(unsigned cpu)
{
    int vector = highest(cpu, REG_ISR);

    if (vector >= 0) {
        *word(cpu, REG_ISR + (unsigned)vector / 32) &= ~(UINT32_C(1) << vector % 32);
        if (b.eoi_exits[cpu][vector / 32] >> vector % 32 & 1) {
            assert_true(report(cpu, VLAPIC_PAGE_EOI, (uint64_t)vector));
        }
    }
}

static uint32_t emulated(unsigned cpu, uint64_t addr, bool write, uint32_t value)
{
    struct io_access a = {.size = 4, .write = write, .value = value, .vcpu = (uint16_t)cpu};

    b.exits++;
    assert_int_equal(io_bus_access(&b.vm.mmio, &b.cache, addr, &a), IO_DONE);
    return (uint32_t)a.value;
}

// The guest's accesses in xAPIC mode, as the processor does them.
static void put(unsigned cpu, unsigned reg, uint32_t value)
{
    *word(cpu, reg) = reg == REG_TPR ? value & 0xFF : value;
    if (reg == REG_EOI) {
        virtual_eoi(cpu);
    } else if (reg == REG_ICR && (value & ~0xFFu) == (SELF | EDGE)) {
        *word(cpu, REG_IRR + (value & 0xFF) / 32) |= UINT32_C(1) << value % 32;
    } else if (reg != REG_TPR && reg != REG_ICR_HIGH) {
        (void)report(cpu, VLAPIC_PAGE_WRITTEN, reg);
    }
}

static uint32_t get(unsigned cpu, unsigned reg)
{
    return reg == REG_CURRENT || reg == REG_PPR ? emulated(cpu, LAPIC + 16 * reg, false, 0) : *word(cpu, reg);
}

// ---- set-up ----------------------------------------

static void notify(struct vm *vm, unsigned vcpu)
{
    (void)vm;
    b.notified[vcpu] = true;
}

static int setup_with(bool delivers, bool ignores_mask)
{
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
    b.ops = (struct apic_page_ops){.delivers = delivers,
                                   .ignores_mask = ignores_mask,
                                   .registers = op_registers,
                                   .attach = op_attach,
                                   .set_mode = op_set_mode,
                                   .changed = op_changed,
                                   .report_eoi = op_report_eoi,
                                   .report_priority = op_report_priority};
    host_apic_pages = &b.ops;
    if (aspace_create(&b.vm.stage2, arch_guest_pt_format()) != OK || io_bus_init(&b.vm.mmio) != OK ||
        vapic_create(&b.vm, LAPIC, IOAPIC, &b.chip) != OK) {
        return -1;
    }
    b.chip->notify = notify;
    b.vm.irqchip = b.chip;
    return 0;
}

static int setup_delivery(bool ignores_mask)
{
    int failed = setup_with(true, ignores_mask);

    for (unsigned i = 0; !failed && i < CPUS; i++) {
        put(i, REG_SVR, 0x1FF);
    }
    return failed;
}

static int setup(void **state)
{
    (void)state;
    return setup_delivery(false);
}

static int setup_careful(void **state)
{
    (void)state;
    return setup_delivery(true);
}

static int setup_priority(void **state)
{
    int failed = setup_with(false, false);

    (void)state;
    for (unsigned i = 0; !failed && i < CPUS; i++) {
        (void)emulated(i, LAPIC + 16 * REG_SVR, true, 0x1FF);
    }
    return failed;
}

static int teardown(void **state)
{
    hpa_t pa;
    struct mem_attr attr;
    uint64_t size;

    (void)state;
    b.chip->ops->destroy(b.chip);
    assert_int_equal(aspace_lookup(&b.vm.stage2, LAPIC, &pa, &attr, &size), E_NOENT);
    io_bus_destroy(&b.vm.mmio);
    aspace_destroy(&b.vm.stage2);
    host_apic_pages = NULL;
    return 0;
}

static int setup_posting(void **state)
{
    int failed = setup(state);

    b.ops.post = op_post;
    b.ops.posted = op_posted;
    b.ops.drop_posts = op_drop_posts;
    return failed;
}

static bool pending(unsigned cpu)
{
    return b.chip->ops->pending(b.chip, cpu);
}

// ---- delivery ----------------------------------------

static void test_reset_state(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(b.mode[i], APIC_MMIO);
        assert_int_equal(get(i, REG_ID), i << 24);
        assert_int_equal(get(i, REG_VERSION) & 0xFF, 0x14);
        assert_int_equal(get(i, REG_SVR), 0x1FF);
        assert_int_equal(get(i, REG_DFR), UINT32_MAX);
        assert_int_equal(get(i, REG_LVT_TIMER), LVT_MASKED);
    }
}

// What others post waits where they can reach it; it goes into the page when the vCPU looks.
static void test_posts(void **state)
{
    (void)state;
    put(0, REG_ICR_HIGH, 2u << 24);
    put(0, REG_ICR, EDGE | 0x40);
    assert_true(b.notified[2]);
    assert_int_equal(highest(2, REG_IRR), -1);
    assert_true(pending(2));
    put(0, REG_ICR, EDGE | 0x91);
    assert_int_equal(delivered(2), 0x91);
    assert_false(pending(2));
    assert_int_equal(delivered(2), -1);
    put(2, REG_EOI, 0);
    assert_true(pending(2));
    assert_int_equal(delivered(2), 0x40);
    assert_true(b.changes[2] > 0);
    assert_false(b.vcpus[2].arch.irq_lines);
}

// NMIs are the vCPU's business, as ever.
static void test_nmi(void **state)
{
    (void)state;
    b.vcpus[1].state = VCPU_RUNNING;
    put(0, REG_ICR_HIGH, 1u << 24);
    put(0, REG_ICR, EDGE | 0x400);
    assert_false(pending(1));
    assert_int_equal(delivered(1), -1);
    assert_int_equal(b.vcpus[1].arch.irq_lines, VCPU_LINE_NMI);
}

static void test_self_ipi_without_exit(void **state)
{
    unsigned exits = b.exits;

    (void)state;
    put(0, REG_ICR, SELF | EDGE | 0x55);
    assert_int_equal(delivered(0), 0x55);
    put(0, REG_EOI, 0);
    put(0, REG_TPR, 0x60);
    put(0, REG_ICR, SELF | EDGE | 0x56);
    assert_int_equal(delivered(0), -1);
    assert_false(pending(0));
    put(0, REG_TPR, 0);
    assert_true(pending(0));
    assert_int_equal(delivered(0), 0x56);
    assert_int_equal(b.exits, exits);
}

// A level interrupt's end reaches the I/O APIC, which asks again; an edge's does not.
static void test_level(void **state)
{
    (void)state;
    (void)emulated(0, IOAPIC, true, 0x10 + 2 * 5);
    (void)emulated(0, IOAPIC + 0x10, true, 0x8000 | 0x71);
    b.chip->ops->set_line(b.chip, 5, true);
    assert_int_equal(delivered(0), 0x71);
    assert_int_equal(get(0, REG_TMR + 3), 1u << (0x71 % 32));
    put(0, REG_EOI, 0);
    assert_int_equal(delivered(0), 0x71); // still high
    b.chip->ops->set_line(b.chip, 5, false);
    put(0, REG_EOI, 0);
    assert_int_equal(delivered(0), -1);
    b.chip->ops->set_line(b.chip, 5, true);
    assert_int_equal(delivered(0), 0x71);
    put(0, REG_EOI, 0);
    assert_int_equal(delivered(0), 0x71);
    b.chip->ops->set_line(b.chip, 5, false);
    put(0, REG_EOI, 0);
    // The same vector as an edge: no exit any more.
    put(0, REG_ICR_HIGH, 0);
    put(0, REG_ICR, EDGE | 0x71);
    assert_int_equal(delivered(0), 0x71);
    b.exits = 0;
    put(0, REG_EOI, 0);
    assert_int_equal(b.exits, 0);
}

// Registers whose writing has effects; what the model refuses is put right in the page.
static void test_written(void **state)
{
    (void)state;
    put(0, REG_LVT_TIMER, 0xFFFA0044);
    assert_int_equal(get(0, REG_LVT_TIMER), 0x20044);
    put(0, REG_ID, 0x12345678);
    assert_int_equal(get(0, REG_ID), 0);
    put(0, REG_ESR, 0);
    assert_int_equal(get(0, REG_ESR), ESR_ILLEGAL_REGISTER);
    put(0, REG_DIVIDE, UINT32_MAX);
    assert_int_equal(get(0, REG_DIVIDE), 0xB);
    put(0, REG_SVR, 0xFF);
    assert_true(get(0, REG_LVT_TIMER) & LVT_MASKED);
}

static void test_timer(void **state)
{
    (void)state;
    put(0, REG_DIVIDE, 0xB);
    put(0, REG_LVT_TIMER, 0x44);
    put(0, REG_INITIAL, 1000);
    assert_int_equal(get(0, REG_INITIAL), 1000);
    assert_true(get(0, REG_CURRENT) <= 1000);
    host_time_advance(2000);
    assert_true(b.notified[0]);
    assert_int_equal(delivered(0), 0x44);
    assert_int_equal(get(0, REG_CURRENT), 0);
}

// Held back while it is switched off by software, whether in the page already or not.
static void test_switched_off(void **state)
{
    (void)state;
    put(0, REG_TPR, 0xF0);
    put(0, REG_ICR, SELF | EDGE | 0x51);
    put(0, REG_SVR, 0xFF);
    put(0, REG_TPR, 0);
    assert_int_equal(delivered(0), -1);
    put(1, REG_ICR_HIGH, 0);
    put(1, REG_ICR, EDGE | 0x62);
    assert_int_equal(delivered(0), -1);
    assert_false(pending(0));
    put(0, REG_SVR, 0x1FF);
    assert_int_equal(delivered(0), 0x62);
    put(0, REG_EOI, 0);
    assert_int_equal(delivered(0), 0x51);
}

// Accesses that the processor leaves to emulation see, and change, what it has.
static void test_emulated_accesses(void **state)
{
    (void)state;
    put(0, REG_ICR, SELF | EDGE | 0x80);
    put(0, REG_ICR, SELF | EDGE | 0x33);
    assert_int_equal(delivered(0), 0x80);
    assert_int_equal(get(0, REG_PPR), 0x80);
    assert_int_equal(emulated(0, LAPIC + 16 * (REG_IRR + 1), false, 0), 1u << (0x33 % 32));
    assert_int_equal(get(0, REG_IRR + 1), 1u << (0x33 % 32));
    assert_int_equal(get(0, REG_ICR), SELF | EDGE | 0x33);
    (void)emulated(0, LAPIC + 16 * REG_EOI, true, 0);
    assert_int_equal(highest(0, REG_ISR), -1);
    assert_int_equal(delivered(0), 0x33);
}

// ---- modes ----------------------------------------

static bool msr(unsigned cpu, unsigned number, bool write, uint64_t value, uint64_t *old)
{
    b.exits++;
    return b.chip->ops->sysreg(b.chip, cpu, number, write, value, UINT64_MAX, old);
}

static void test_x2apic(void **state)
{
    uint64_t old;

    (void)state;
    put(1, REG_TPR, 0x20);
    put(1, REG_ICR, SELF | EDGE | 0x25);
    assert_true(msr(1, VLAPIC_MSR_BASE, true, LAPIC | APIC_BASE_ENABLE | APIC_BASE_EXTD, &old));
    assert_int_equal(b.mode[1], APIC_X2);
    assert_int_equal(get(1, REG_ID), 1);
    assert_int_equal(get(1, REG_LDR), 2);
    assert_int_equal(get(1, REG_TPR), 0x20);
    assert_int_equal(delivered(1), -1);
    *word(1, REG_TPR) = 0;
    assert_int_equal(delivered(1), 0x25);
    // ICR is one register of 64 bits.
    assert_true(msr(1, VLAPIC_MSR_X2APIC + REG_ICR, true, UINT64_C(2) << 32 | EDGE | 0x44, &old));
    assert_int_equal(b.page[1][APIC_PAGE_WORD(REG_ICR)], EDGE | 0x44);
    assert_int_equal(b.page[1][APIC_PAGE_WORD(REG_ICR) + 1], 2);
    assert_int_equal(delivered(2), 0x44);
    assert_false(msr(1, VLAPIC_MSR_X2APIC + REG_INITIAL, true, UINT64_C(1) << 32, &old));
    assert_true(msr(1, VLAPIC_MSR_X2APIC + REG_INITIAL, true, 7, &old));
    assert_int_equal(get(1, REG_INITIAL), 7);
    assert_true(msr(1, VLAPIC_MSR_X2APIC + REG_CURRENT, false, 0, &old));
    assert_false(msr(1, VLAPIC_MSR_X2APIC + REG_DFR, false, 0, &old));
    // Self-IPIs that the processor hands over: vectors that do not exist.
    *word(1, REG_SELF_IPI) = 7;
    assert_true(report(1, VLAPIC_PAGE_WRITTEN, REG_SELF_IPI));
    assert_true(msr(1, VLAPIC_MSR_X2APIC + REG_ESR, true, 0, &old));
    assert_int_equal(get(1, REG_ESR), 0x40);
}

// Switched off and on again, it has forgotten everything.
static void test_off_and_on(void **state)
{
    uint64_t old;

    (void)state;
    put(0, REG_TPR, 0x30);
    put(0, REG_ICR, SELF | EDGE | 0x25);
    put(0, REG_ICR, SELF | EDGE | 0x45);
    assert_int_equal(delivered(0), 0x45);
    assert_true(msr(0, VLAPIC_MSR_BASE, true, LAPIC | APIC_BASE_BSP, &old));
    assert_int_equal(b.mode[0], APIC_OFF);
    assert_int_equal(delivered(0), -1);
    assert_true(msr(0, VLAPIC_MSR_BASE, true, LAPIC | APIC_BASE_BSP | APIC_BASE_ENABLE, &old));
    assert_int_equal(b.mode[0], APIC_MMIO);
    assert_int_equal(get(0, REG_TPR), 0);
    put(0, REG_SVR, 0x1FF);
    assert_int_equal(highest(0, REG_IRR), -1);
    assert_int_equal(highest(0, REG_ISR), -1);
    assert_false(pending(0));
}

static void test_reset(void **state)
{
    uint64_t old;

    (void)state;
    assert_true(msr(2, VLAPIC_MSR_BASE, true, LAPIC | APIC_BASE_ENABLE | APIC_BASE_EXTD, &old));
    *word(2, REG_TPR) = 0x90;
    put(0, REG_ICR, 0xC0000 | EDGE | 0x45);
    put(0, REG_ICR, SELF | EDGE | 0x46);
    assert_int_equal(delivered(0), 0x46);
    b.chip->ops->reset(b.chip);
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(b.mode[i], APIC_MMIO);
        assert_int_equal(get(i, REG_TPR), 0);
        assert_int_equal(highest(i, REG_ISR), -1);
        put(i, REG_SVR, 0x1FF);
        assert_int_equal(delivered(i), -1);
    }
}

// ---- a processor that does not wait for RFLAGS.IF ----------------------------------------

static bool asks(unsigned cpu)
{
    if (b.notified[cpu]) {
        b.notified[cpu] = false;
        b.chip->ops->flush(b.chip, cpu);
    }
    return (b.vcpus[cpu].arch.irq_lines & VCPU_LINE_IRQ) != 0;
}

static void post(unsigned cpu, uint8_t vector)
{
    unsigned from = cpu == 1 ? 2 : 1;

    put(from, REG_ICR_HIGH, cpu << 24);
    put(from, REG_ICR, EDGE | vector);
}

// It gets what TPR holds back, and ends; what waits for the guest's mask is taken by the vCPU.
static void test_careful(void **state)
{
    (void)state;
    post(0, 0x41);
    post(0, 0x52);
    assert_true(asks(0) && pending(0));
    assert_int_equal(delivered(0), -1);
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), 0x52);
    assert_int_equal(highest(0, REG_ISR), 0x52);
    assert_false(asks(0) || pending(0));
    assert_int_equal(delivered(0), -1);
    put(0, REG_EOI, 0); // tells, because one waits
    assert_true(asks(0));
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), 0x41);
    b.exits = 0;
    put(0, REG_EOI, 0); // none does
    assert_int_equal(b.exits, 0);
    put(0, REG_TPR, 0x60);
    post(0, 0x61);
    assert_false(asks(0) || pending(0));
    assert_int_equal(highest(0, REG_IRR), 0x61);
    put(0, REG_TPR, 0x5F);
    assert_true(pending(0));
    post(0, 0x42); // it is the vCPU's now, whichever comes first
    assert_true(asks(0));
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), 0x61);
    put(0, REG_TPR, 0);
    put(0, REG_EOI, 0);
    assert_int_equal(delivered(0), 0x42);
    put(0, REG_EOI, 0);
    assert_false(asks(0) || pending(0));
}

static void test_careful_level(void **state)
{
    (void)state;
    (void)emulated(0, IOAPIC, true, 0x10 + 2 * 5);
    (void)emulated(0, IOAPIC + 0x10, true, 0x8000 | 0x71);
    b.chip->ops->set_line(b.chip, 5, true);
    assert_true(asks(0));
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), 0x71);
    assert_false(asks(0));
    put(0, REG_EOI, 0);
    assert_true(asks(0));
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), 0x71);
    b.chip->ops->set_line(b.chip, 5, false);
    put(0, REG_EOI, 0);
    assert_false(asks(0));
}

// ---- only the task priority ----------------------------------------

static void set(unsigned cpu, unsigned reg, uint32_t v)
{
    (void)emulated(cpu, LAPIC + 16 * reg, true, v);
}

// CR8 changes the page behind the model's back.
static void test_priority_only(void **state)
{
    (void)state;
    *word(0, REG_TPR) = 0x50;
    set(0, REG_ICR, SELF | EDGE | 0x42);
    assert_false(asks(0));
    assert_false(pending(0));
    assert_int_equal(b.threshold[0], 4);
    *word(0, REG_TPR) = 0x30; // below: the processor tells
    assert_true(pending(0));
    assert_true(report(0, VLAPIC_PAGE_PRIORITY, 0));
    assert_true(asks(0));
    assert_int_equal(b.threshold[0], 0);
    *word(0, REG_TPR) = 0x40; // again, before it was taken
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), -1);
    assert_false(asks(0));
    *word(0, REG_TPR) = 0x10;
    assert_true(report(0, VLAPIC_PAGE_PRIORITY, 0));
    assert_int_equal(b.chip->ops->acknowledge(b.chip, 0), 0x42);
    assert_false(asks(0));
    assert_int_equal(emulated(0, LAPIC + 16 * REG_TPR, false, 0), 0x10);
    set(0, REG_TPR, 0x20);
    assert_int_equal(*word(0, REG_TPR), 0x20);
    set(0, REG_EOI, 0);
    set(1, REG_ICR_HIGH, 0);
    set(1, REG_ICR, EDGE | 0x21);
    assert_false(asks(0));
    assert_int_equal(b.threshold[0], 2);
    set(0, REG_TPR, 0);
    assert_true(asks(0));
}

static void send(unsigned cpu, uint8_t vector)
{
    put(0, REG_ICR_HIGH, cpu << 24);
    put(0, REG_ICR, EDGE | vector);
}

static bool is_posted(unsigned cpu, uint8_t vector)
{
    return b.posted[cpu][vector / 32] >> vector % 32 & 1;
}

// Whom the hardware tells, nobody else does; who sleeps finds what has been posted.
static void test_posted(void **state)
{
    (void)state;
    b.answer = APIC_POST_DONE;
    send(1, 0x41);
    assert_true(is_posted(1, 0x41));
    assert_false(b.notified[1]);
    assert_true(pending(1));
    assert_int_equal(delivered(1), -1); // the model's part has nothing of it
    b.answer = APIC_POST_NOTIFY;
    send(1, 0x51);
    assert_true(is_posted(1, 0x51));
    assert_true(b.notified[1]);
    assert_int_equal(delivered(1), -1);
    b.answer = APIC_POST_REFUSED;
    send(1, 0x61);
    assert_false(is_posted(1, 0x61));
    assert_true(b.notified[1]);
    assert_int_equal(delivered(1), 0x61);
}

static void test_not_posted(void **state)
{
    (void)state;
    b.answer = APIC_POST_DONE;
    send(0, 0x42); // to itself
    assert_false(is_posted(0, 0x42));
    atomic_store(&b.vcpus[2].arch.requests, 0);
    vlapic_post(&vapic_of(b.chip)->lapics[2], 0x43, true, 0); // level-triggered
    assert_false(is_posted(2, 0x43));
    vlapic_post(&vapic_of(b.chip)->lapics[2], 0x43, false, 0); // ... and its mark goes
    assert_false(is_posted(2, 0x43));
    vlapic_post(&vapic_of(b.chip)->lapics[2], 0x43, false, 0);
    assert_true(is_posted(2, 0x43));
    put(1, REG_SVR, 0xFF); // switched off
    send(1, 0x44);
    assert_false(is_posted(1, 0x44));
    b.chip->ops->reset(b.chip);
    assert_false(is_posted(2, 0x43));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reset_state),
        TEST(test_posts),
        TEST(test_nmi),
        TEST(test_self_ipi_without_exit),
        TEST(test_level),
        TEST(test_written),
        TEST(test_timer),
        TEST(test_switched_off),
        TEST(test_emulated_accesses),
        TEST(test_x2apic),
        TEST(test_off_and_on),
        TEST(test_reset),
        cmocka_unit_test_setup_teardown(test_posted, setup_posting, teardown),
        cmocka_unit_test_setup_teardown(test_not_posted, setup_posting, teardown),
        cmocka_unit_test_setup_teardown(test_careful, setup_careful, teardown),
        cmocka_unit_test_setup_teardown(test_careful_level, setup_careful, teardown),
        cmocka_unit_test_setup_teardown(test_priority_only, setup_priority, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
