// SPDX-License-Identifier: Apache-2.0
//
// What a guest may expect of its interrupt controller beyond the ordinary (Arm IHI 0069 and IHI 0048): preemption by the
// binary point, priority drop and deactivation apart (EOImode 1), more active interrupts than there can be list registers,
// and two CPUs that look at, change and end each other's interrupts. The second CPU is a servant: it does one thing at a time
// and says what it saw. Without a second CPU that part is left out.
#include "guests/lib/aarch64/cpu.h"
#include "guests/redteam/redteam.h"

#define GICD_SGIR 0xf00
#define IGROUPR 0x80
#define ISENABLER 0x100
#define ISPENDR 0x200
#define ISACTIVER 0x300
#define ICACTIVER 0x380
#define IPRIORITYR 0x400
#define ITARGETSR 0x800
#define IROUTER 0x6000
#define GICR_WAKER 0x14
#define GICR_STRIDE 0x20000
#define GICR_SGI_BASE 0x10000
#define GICC_BPR 0x8
#define GICC_RPR 0x14
#define GICC_DIR 0x1000
#define GICC_CTLR_EOIMODE (1u << 9)
#define ICC_CTLR_EOIMODE (1u << 1)
#define ICC_CTLR_EL1 "S3_0_C12_C12_4"
#define ICC_SRE_EL1 "S3_0_C12_C12_5"
#define ICC_IGRPEN1_EL1 "S3_0_C12_C12_7"
#define ICC_PMR_EL1 "S3_0_C4_C6_0"
#define ICC_BPR1_EL1 "S3_0_C12_C12_3"
#define ICC_RPR_EL1 "S3_0_C12_C11_3"
#define ICC_DIR_EL1 "S3_0_C12_C11_1"
#define ICC_SGI1R_EL1 "S3_0_C12_C11_5"
#define SGI_TO_OTHERS (1ul << 40)

#define SPURIOUS 1023u
#define IDLE_PRIORITY 0xffu
#define SPI_FIRST 64u
#define SPI_COUNT 40u // more than list registers
#define TIMER 27u
#define SECOND 1u
#define STORM 5000u
#define PATIENCE 10u // seconds

static bool is_v3(void)
{
    return board.gic_version == 3;
}

// ---- one CPU's interface ----

static void set_split(bool split)
{
    if (is_v3()) {
        write_sysreg(ICC_CTLR_EL1, split ? ICC_CTLR_EOIMODE : 0);
        __asm__ volatile("isb");
    } else {
        mmio_write32(board.gicc, 1 | (split ? GICC_CTLR_EOIMODE : 0));
    }
}

// So many low bits of a priority do not count for preemption.
static void set_ignored_bits(unsigned bits)
{
    if (is_v3()) {
        write_sysreg(ICC_BPR1_EL1, bits);
        __asm__ volatile("isb");
    } else {
        mmio_write32(board.gicc + GICC_BPR, bits - 1);
    }
}

static unsigned running_priority(void)
{
    return is_v3() ? (unsigned)read_sysreg(ICC_RPR_EL1) & 0xff : mmio_read32(board.gicc + GICC_RPR) & 0xff;
}

static void deactivate(uint32_t iar)
{
    if (is_v3()) {
        write_sysreg(ICC_DIR_EL1, iar);
        __asm__ volatile("isb");
    } else {
        mmio_write32(board.gicc + GICC_DIR, iar);
    }
}

static uint64_t bits_of(unsigned cpu, unsigned irq, unsigned offset)
{
    if (is_v3() && irq < 32) {
        return board.gicr + cpu * GICR_STRIDE + GICR_SGI_BASE + offset;
    }
    return board.gicd + offset + irq / 32 * 4;
}

static bool is_set(unsigned cpu, unsigned irq, unsigned offset)
{
    return (mmio_read32(bits_of(cpu, irq, offset)) >> irq % 32 & 1) != 0;
}

static void set(unsigned cpu, unsigned irq, unsigned offset)
{
    mmio_write32(bits_of(cpu, irq, offset), 1u << irq % 32);
}

static void prepare(unsigned cpu, unsigned irq, unsigned priority)
{
    uint64_t group = bits_of(cpu, irq, IGROUPR);

    if (is_v3()) {
        mmio_write32(group, mmio_read32(group) | 1u << irq % 32);
        mmio_write8(bits_of(cpu, 0, IPRIORITYR) + irq, (uint8_t)priority);
    }
    if (is_v3() && irq >= 32) {
        mmio_write64(board.gicd + IROUTER + 8ul * irq, cpu);
        mmio_write8(board.gicd + IPRIORITYR + irq, (uint8_t)priority);
    }
    if (!is_v3()) {
        mmio_write8(board.gicd + ITARGETSR + irq, (uint8_t)(1u << cpu));
        mmio_write8(board.gicd + IPRIORITYR + irq, (uint8_t)priority);
    }
    set(cpu, irq, ISENABLER);
}

static bool same(const char *what, unsigned got, unsigned expected)
{
    if (got != expected) {
        print("  %s: 0x%x, not 0x%x\n", what, got, expected);
    }
    return got == expected;
}

static unsigned acknowledged(void)
{
    return gic_acknowledge() & 0x3ff;
}

// Waits for one.
static unsigned await(void)
{
    uint64_t end = time_now() + PATIENCE * time_hz();
    unsigned irq = acknowledged();

    while (irq >= 1020 && time_now() < end) {
        irq = acknowledged();
    }
    return irq;
}

// ---- alone ----

static bool preemption(void)
{
    const unsigned low = SPI_FIRST, high = SPI_FIRST + 1, alike = SPI_FIRST + 2;
    bool ok;

    set_ignored_bits(5);
    prepare(0, low, 0x80);
    prepare(0, high, 0x50);
    prepare(0, alike, 0x40); // better, but of the same group priority
    set(0, low, ISPENDR);
    ok = same("first", await(), low) & same("running", running_priority(), 0x80);
    set(0, high, ISPENDR);
    ok &= same("preempting", await(), high) & same("running", running_priority(), 0x40);
    set(0, alike, ISPENDR);
    ok &= same("of the same group", acknowledged(), SPURIOUS);
    gic_end(high);
    ok &= same("running", running_priority(), 0x80) & same("then", await(), alike);
    gic_end(alike);
    gic_end(low);
    ok &= same("idle", running_priority(), IDLE_PRIORITY) & same("nothing more", acknowledged(), SPURIOUS);
    set_ignored_bits(3);
    return ok;
}

static bool active_count(unsigned expected)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SPI_COUNT; i++) {
        n += is_set(0, SPI_FIRST + i, ISACTIVER);
    }
    return same("active", n, expected);
}

// All active at once, ended in an order of their own; each comes again when it is over, not before.
static bool split_ends(void)
{
    bool ok = true;

    set_split(true);
    for (unsigned i = 0; i < SPI_COUNT; i++) {
        prepare(0, SPI_FIRST + i, 0x80);
        set(0, SPI_FIRST + i, ISPENDR);
        ok &= same("taken", await(), SPI_FIRST + i);
        gic_end(SPI_FIRST + i);
        set(0, SPI_FIRST + i, ISPENDR);
    }
    ok &= active_count(SPI_COUNT) & same("while active", acknowledged(), SPURIOUS);
    for (unsigned i = 0; i < SPI_COUNT; i++) {
        unsigned irq = SPI_FIRST + i * 7 % SPI_COUNT;

        deactivate(irq);
        ok &= same("again", await(), irq);
        gic_end(irq);
        deactivate(irq);
        ok &= active_count(SPI_COUNT - 1 - i);
    }
    deactivate(SPI_FIRST); // not active: nothing
    deactivate(1019);
    set_split(false);
    return ok;
}

// The timer's physical interrupt is tied to the guest's.
static bool split_timer(void)
{
    bool ok;

    set_split(true);
    irq_enable_line(TIMER);
    write_sysreg("cntv_cval_el0", 0);
    write_sysreg("cntv_ctl_el0", 1);
    ok = same("timer", await(), TIMER);
    gic_end(TIMER);
    ok &= same("timer, not deactivated", acknowledged(), SPURIOUS) & is_set(0, TIMER, ISACTIVER);
    write_sysreg("cntv_ctl_el0", 0);
    __asm__ volatile("isb");
    deactivate(TIMER);
    ok &= !is_set(0, TIMER, ISACTIVER) & same("timer, off", acknowledged(), SPURIOUS);
    set_split(false);
    return ok;
}

// ---- two CPUs ----

enum order {
    ORDER_NONE,
    ORDER_TAKE,
    ORDER_END,
    ORDER_DEACTIVATE,
    ORDER_READ,
    ORDER_STOP
};

static volatile enum order order;
static volatile uint64_t argument, result;
static char servant_stack[4096] __attribute__((aligned(16)));

static void servant(void *arg)
{
    (void)arg;
    if (is_v3()) {
        write_sysreg(ICC_SRE_EL1, read_sysreg(ICC_SRE_EL1) | 1);
        __asm__ volatile("isb");
        mmio_write32(board.gicr + SECOND * GICR_STRIDE + GICR_WAKER, 0);
        write_sysreg(ICC_PMR_EL1, 0xff);
        write_sysreg(ICC_IGRPEN1_EL1, 1);
    } else {
        mmio_write32(board.gicc + 4, 0xff);
    }
    set_split(true);
    set_ignored_bits(3);
    for (;;) {
        enum order now = order;

        if (now == ORDER_NONE) {
            continue;
        }
        if (now == ORDER_TAKE) {
            result = await();
        } else if (now == ORDER_END) {
            gic_end((uint32_t)argument);
        } else if (now == ORDER_DEACTIVATE) {
            deactivate((uint32_t)argument);
        } else if (now == ORDER_READ) {
            result = mmio_read32(argument);
        }
        __sync_synchronize();
        order = ORDER_NONE;
        if (now == ORDER_STOP) {
            cpu_stop();
        }
    }
}

static uint64_t tell(enum order what, uint64_t arg)
{
    argument = arg;
    __sync_synchronize();
    order = what;
    while (order != ORDER_NONE) {
    }
    __sync_synchronize();
    return result;
}

// An SPI of the other CPU: its state is seen at once, and any CPU may end it.
static bool other_spi(void)
{
    const unsigned irq = SPI_FIRST;
    bool ok = true;

    set_split(true);
    prepare(SECOND, irq, 0x80);
    for (unsigned i = 0; i < 5; i++) {
        set(0, irq, ISPENDR);
        ok &= same("the other's SPI", (unsigned)tell(ORDER_TAKE, 0), irq);
        ok &= same("active there", is_set(0, irq, ISACTIVER), 1);
        tell(ORDER_END, irq);
        deactivate(irq);
        ok &= same("ended here", is_set(0, irq, ISACTIVER), 0);
    }
    prepare(0, irq, 0x80);
    set_split(false);
    return ok;
}

// Private interrupts through the other's redistributor, in both directions (GICv2 has none).
static bool other_private(void)
{
    const unsigned sgi = 5;
    bool ok;

    if (!is_v3()) {
        return true;
    }
    prepare(SECOND, sgi, 0x80);
    set(SECOND, sgi, ISPENDR);
    ok = same("pending there", is_set(SECOND, sgi, ISPENDR), 1);
    ok &= same("pended from here", (unsigned)tell(ORDER_TAKE, 0), sgi);
    ok &= same("active there", is_set(SECOND, sgi, ISACTIVER), 1);
    ok &= same("no more pending", is_set(SECOND, sgi, ISPENDR), 0);
    tell(ORDER_END, sgi);
    set(SECOND, sgi, ICACTIVER);
    ok &= same("ended from here", is_set(SECOND, sgi, ISACTIVER), 0);
    prepare(0, sgi, 0x80);
    set(0, sgi, ISPENDR);
    ok &= same("own", await(), sgi);
    ok &= same("seen from there", tell(ORDER_READ, bits_of(0, sgi, ISACTIVER)) >> sgi & 1, 1);
    gic_end(sgi);
    return ok & same("over", tell(ORDER_READ, bits_of(0, sgi, ISACTIVER)) >> sgi & 1, 0);
}

static void send_to_others(unsigned sgi)
{
    if (is_v3()) {
        write_sysreg(ICC_SGI1R_EL1, SGI_TO_OTHERS | (uint64_t)sgi << 24);
    } else {
        mmio_write32(board.gicd + GICD_SGIR, 1u << 24 | sgi);
    }
}

static void send_to_self(unsigned sgi)
{
    if (is_v3()) {
        write_sysreg(ICC_SGI1R_EL1, 1u | (uint64_t)sgi << 24);
    } else {
        mmio_write32(board.gicd + GICD_SGIR, 2u << 24 | sgi);
    }
}

// Once, then a storm of them in both directions: however many were sent to a CPU that does not take them, one is pending.
static bool broadcast(void)
{
    const unsigned sgi = 6;
    uint32_t iar;
    bool ok;

    prepare(SECOND, sgi, 0x80);
    prepare(0, sgi, 0x80);
    send_to_others(sgi);
    ok = same("to all others", (unsigned)tell(ORDER_TAKE, 0), sgi);
    tell(ORDER_END, sgi);
    tell(ORDER_DEACTIVATE, sgi);
    ok &= same("not to oneself", acknowledged(), SPURIOUS);
    for (unsigned i = 0; i < STORM; i++) {
        send_to_others(sgi);
        send_to_self(sgi);
    }
    ok &= same("of a storm", (unsigned)tell(ORDER_TAKE, 0), sgi);
    tell(ORDER_END, sgi);
    tell(ORDER_DEACTIVATE, sgi);
    iar = gic_acknowledge();
    ok &= same("of one's own storm", iar & 0x3ff, sgi);
    gic_end(iar);
    return ok & same("and no more", acknowledged(), SPURIOUS);
}

bool case_gic_cpus(void)
{
    const struct cpu_start start = {servant_stack + sizeof(servant_stack), servant, NULL};
    bool ok;

    irq_setup();
    ok = preemption() & split_ends() & split_timer();
    if (cpu_start(SECOND, &start) == CPU_STARTED) {
        ok &= other_spi() & other_private() & broadcast();
        tell(ORDER_STOP, 0);
        print("  two CPUs\n");
    }
    irq_setup();
    irq_enable_line(board.uart_irq);
    return ok;
}
