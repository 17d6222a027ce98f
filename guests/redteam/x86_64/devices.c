// SPDX-License-Identifier: Apache-2.0
//
// A PC's devices, at their ports and registers: whatever is written, only this guest may suffer.
#include "guests/redteam/x86_64/x86team.h"

#define RANDOM_ACCESSES 20000u
#define PORT_UART 0x3F8u
#define PORT_LSR 0x3FDu
#define HPET_CONFIG (HPET + 0x10)
#define HPET_STATUS (HPET + 0x20)
#define HPET_COUNTER (HPET + 0xF0)
#define HPET_TIMER2 (HPET + 0x140)
#define STORM_PIN 11u
#define MSR_APIC_BASE 0x1Bu
#define APIC_BASE_EN 0x800u
#define APIC_BASE_EXTD 0x400u
#define LVT_PERIODIC 0x20000u
#define LVT_DEADLINE 0x40000u
#define LVT_MASKED 0x10000u
#define LEVEL_TRIGGERED 0x8000u
#define APIC_INITIAL ((enum apic_reg)0x38)
#define APIC_DIVIDE ((enum apic_reg)0x3E)
#define MSR_DEADLINE 0x6E0u

void gate_set(unsigned vector, void (*handler)(void), bool user)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer;
    uint64_t to = (uint64_t)(uintptr_t)handler;
    uint64_t *gate;

    __asm__ volatile("sidt %0" : "=m"(pointer));
    gate = (uint64_t *)(uintptr_t)pointer.base + 2 * (uint64_t)vector;
    gate[0] = (to & 0xFFFF) | UINT64_C(8) << 16 | (user ? UINT64_C(0xEE00) : UINT64_C(0x8E00)) << 32 |
              (to >> 16 & 0xFFFF) << 48;
    gate[1] = to >> 32;
}

static void wait_us(uint64_t us)
{
    uint64_t end = time_now() + time_hz() / 1000000 * us;

    while (time_now() < end) {
        __asm__ volatile("pause");
    }
}

// ---- ports ----

// Ports that end or reset us, or carry our voice.
static bool is_ours(unsigned port)
{
    return (port >= PORT_UART - 3 && port < PORT_UART + 8) || (port >= 0x61 && port <= 0x64) ||
           (port >= 0x8F && port <= 0x92) || (port >= 0xCF6 && port <= 0xCFF) ||
           (port >= 0x5FD && port < 0x60C);
}

static void write_all(uint16_t port, uint32_t v)
{
    out8(port, (uint8_t)v);
    out16(port, (uint16_t)v);
    out32(port, v);
}

bool case_ports(void)
{
    unsigned silent = 0;

    for (unsigned p = 0; p <= 0xFFFF; p++) {
        uint16_t port = (uint16_t)p;

        silent += in8(port) == UINT8_MAX && in16(port) == UINT16_MAX && in32(port) == UINT32_MAX;
        if (!is_ours(p)) {
            write_all(port, (uint32_t)random_next());
        }
    }
    uart_setup();
    print("  %u ports with nothing there\n", silent);
    return silent > 0xFF00 && in32(0xFFFF) == UINT32_MAX && in16(0xFFFF) == UINT16_MAX;
}

static uint8_t buffer[3 * 4096] __attribute__((aligned(4096)));

static bool filled(unsigned from, unsigned to, uint8_t v)
{
    for (unsigned i = from; i < to; i++) {
        if (((volatile uint8_t *)buffer)[i] != v) {
            return false;
        }
    }
    return true;
}

static void clear_buffer(void)
{
    for (unsigned i = 0; i < sizeof(buffer); i++) {
        ((volatile uint8_t *)buffer)[i] = 0;
    }
}

// What is left of the count.
static uint64_t rep_in(uint64_t to, uint64_t count, bool down)
{
    last_trap.taken = false;
    __asm__ volatile(TRY "test %3, %3\n jz 1f\n std\n1: rep insl" TRIED "cld"
                     : "+D"(to), "+c"(count)
                     : "d"(0xE000), "r"((uint64_t)down)
                     : TRY_CLOBBERS);
    return count;
}

static bool string_input(void)
{
    uint64_t at = (uint64_t)(uintptr_t)buffer;
    bool ok;

    clear_buffer();
    ok = rep_in(at + 4094, 300, false) == 0 && filled(0, 4094, 0) && filled(4094, 5294, 0xFF) &&
         filled(5294, sizeof(buffer), 0);
    clear_buffer();
    ok &= rep_in(at + 8190, 300, true) == 0 && filled(8194, sizeof(buffer), 0) && filled(6994, 8194, 0xFF) &&
          filled(0, 6994, 0);
    clear_buffer();
    ok &= rep_in(at, 0, false) == 0 && filled(0, sizeof(buffer), 0);
    ok &= rep_in(UINT64_C(1) << 43, UINT64_MAX, false) == UINT64_MAX && expect_trap("unmapped", VECTOR_PF);
    ok &= rep_in(UINT64_C(1) << 47, 5, false) == 5 && expect_trap("not canonical", VECTOR_GP);
    ok &= rep_in(LAPIC_BASE, 1000, false) == 0 && rep_in(NOWHERE - 8, 1000, false) == 0;
    return ok;
}

// A 32-bit address comes back to 0 after the last byte below 4 GiB.
static bool string_wraps(void)
{
    volatile uint32_t *low = (volatile uint32_t *)(uintptr_t)UINT64_C(0x1000);
    uint64_t to = 0xFFFFFFFC, count = 1 + 0x1000 / 4 + 1;
    bool ok;

    *low = 0;
    __asm__ volatile("addr32 rep insl" : "+D"(to), "+c"(count) : "d"(0xE000) : "memory");
    ok = *low == UINT32_MAX && to == 0x1004 && count == 0;
    if (!ok) {
        print("  wrap: rdi 0x%lx rcx %lu\n", to, count);
    }
    return ok;
}

bool case_string_io(void)
{
    static const char text[] = "  by string output\r\n", reversed[] = "\n\rsdrawkcab  ";
    const char *from = text;
    uint64_t count = sizeof(text) - 1;
    bool ok;

    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT_UART) : "memory");
    ok = count == 0 && from == text + sizeof(text) - 1;
    from = reversed + sizeof(reversed) - 2;
    count = sizeof(reversed) - 1;
    __asm__ volatile("std\n rep outsb\n cld" : "+S"(from), "+c"(count) : "d"(PORT_UART) : "memory");
    ok &= count == 0 && (uintptr_t)from + 1 == (uintptr_t)reversed;
    return ok & string_input() & string_wraps();
}

// ---- registers by any instruction ----

#define FORM(text)                                                                                          \
    __asm__ volatile(TRY text TRIED                                                                         \
                     :                                                                                      \
                     : "b"(a), "a"(UINT64_C(0)), "c"(UINT64_C(4)), "D"(a), "S"((uint64_t)(uintptr_t)buffer) \
                     : TRY_CLOBBERS)

static void string_forms(uint64_t a)
{
    uint64_t di = a, si = (uint64_t)(uintptr_t)buffer, count = 4;

    __asm__ volatile(TRY "rep stosl\n\tmov $4, %%ecx\n\trep stosb\n\tstosw\n\tstosq" TRIED
                     : "+D"(di), "+c"(count)
                     : "a"(UINT64_C(0))
                     : TRY_CLOBBERS);
    di = a;
    count = 3;
    __asm__ volatile(TRY "rep movsl\n\tmovsb\n\tmovsq" TRIED
                     : "+D"(di), "+S"(si), "+c"(count)
                     :
                     : TRY_CLOBBERS);
    si = a;
    di = (uint64_t)(uintptr_t)buffer;
    count = 3;
    __asm__ volatile(TRY "rep movsl\n\tmovsw\n\tmovsq" TRIED
                     : "+D"(di), "+S"(si), "+c"(count)
                     :
                     : TRY_CLOBBERS);
    si = a;
    __asm__ volatile(TRY "std\n\tlodsl\n\tlodsb\n\tlodsq\n\tcld" TRIED "cld"
                     : "+S"(si)
                     :
                     : TRY_CLOBBERS, "rax");
    __asm__ volatile(TRY "push (%0)\n\tpop (%0)\n\tpushw (%0)\n\tpopw (%0)" TRIED : : "r"(a) : TRY_CLOBBERS);
}

static void forms(uint64_t a)
{
    FORM("movb (%%rbx), %%dl\n\tmovb %%al, (%%rbx)\n\tmovw (%%rbx), %%dx\n\tmovw %%ax, (%%rbx)");
    FORM("movl (%%rbx), %%edx\n\tmovl %%eax, (%%rbx)\n\tmovq (%%rbx), %%rdx\n\tmovq %%rax, (%%rbx)");
    FORM("movzbl (%%rbx), %%edx\n\tmovzwl (%%rbx), %%edx\n\tmovsbq (%%rbx), %%rdx\n\tmovslq (%%rbx), %%rdx");
    FORM("addl %%eax, (%%rbx)\n\torb $1, (%%rbx)\n\tandw $0, (%%rbx)\n\txorq %%rax, (%%rbx)\n\tcmpl $5, "
         "(%%rbx)");
    FORM("incl (%%rbx)\n\tdecb (%%rbx)\n\tnotw (%%rbx)\n\tnegq (%%rbx)\n\ttestl $-1, (%%rbx)");
    FORM("xchgl %%eax, (%%rbx)\n\tlock cmpxchgl %%ecx, (%%rbx)\n\tlock xaddl %%eax, (%%rbx)\n\tlock orl $4, "
         "(%%rbx)");
    FORM("lock btsl $3, (%%rbx)\n\tbtrl %%ecx, (%%rbx)\n\tbtcw $7, (%%rbx)\n\tbtq %%rcx, (%%rbx)\n\tclflush "
         "(%%rbx)");
    FORM("movnti %%eax, (%%rbx)\n\tsbbb %%al, (%%rbx)\n\tadcw %%ax, (%%rbx)\n\tsubl (%%rbx), %%eax");
    string_forms(a);
}

bool case_mmio(void)
{
    static const uint64_t places[] = {LAPIC_BASE + 0x20,   LAPIC_BASE + 0xFF8,
                                      IOAPIC_BASE,         IOAPIC_BASE + 0x10,
                                      IOAPIC_BASE + 0xFF8, HPET,
                                      HPET + 0x10,         HPET + 0x108,
                                      HPET + 0x3F8,        NOWHERE,
                                      NOWHERE - 8,         0xFFFFFFC0};
    uint8_t low;
    unsigned trapped = 0;

    for (unsigned p = 0; p < COUNT(places); p++) {
        for (uint64_t shift = 0; shift < 8; shift++) {
            last_trap.taken = false;
            forms(places[p] + shift);
            trapped += last_trap.taken;
        }
    }
    mmio_write32(HPET_CONFIG, 0);
    irq_enable_line(board.uart_irq);
    mmio_write32(IOAPIC_BASE, 1); // a byte of the version is that byte alone
    __asm__ volatile("movzbl (%1), %%eax\n mov %%al, %0\n shr $8, %%eax\n setnz %%ah\n or %%ah, %0"
                     : "=m"(low)
                     : "r"(IOAPIC_BASE + 0x10)
                     : "rax", "cc");
    print("  %u traps, low byte 0x%x\n", trapped, low);
    return trapped == 0 && low == 0x20;
}

// ---- local APIC ----

// Off and on again: nothing is left of what others have made of it.
static void apic_fresh(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~(uint64_t)(APIC_BASE_EN | APIC_BASE_EXTD));
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EN);
    apic_enable();
}

static void apic_sweep(void)
{
    for (uint32_t reg = 0; reg < 0x400; reg += 4) {
        uint64_t a = LAPIC_BASE + reg;
        uint64_t v = random_next();

        if (reg == 0x300) {
            continue; // commands have a case of their own
        }
        __asm__ volatile(
            "movb %b1, (%0)\n movw %w1, 1(%0)\n movl %k1, (%0)\n movl $-1, (%0)\n movq %1, (%0)\n"
            "movb (%0), %b1\n movw (%0), %w1\n movl 2(%0), %k1\n movq (%0), %1"
            : "+r"(a), "+r"(v)
            :
            : "memory");
    }
}

// As xAPIC, whose registers are in memory: through "off", and back to x2APIC. Reserved bits of x2APIC's are #GP or nothing.
bool case_apic(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    unsigned refused = 0;
    bool ok = true;

    try_wrmsr(MSR_APIC_BASE, base ^ 0x1000);
    ok &= expect_trap("another base", VECTOR_GP);
    try_wrmsr(MSR_APIC_BASE, (base & ~(uint64_t)APIC_BASE_EN));
    ok &= expect_trap("x2APIC without APIC", VECTOR_GP);
    for (uint32_t reg = 0; reg < 0x40; reg++) {
        refused += reg != 0x30 && !try_wrmsr(0x800 + reg, UINT64_MAX);
        (void)!try_wrmsr(0x800 + reg, reg == 0x30 ? 0x4003D : 0xFFFFFFFF);
    }
    wrmsr(MSR_APIC_BASE, base & ~(uint64_t)(APIC_BASE_EN | APIC_BASE_EXTD));
    apic_sweep();
    wrmsr(MSR_APIC_BASE, (base & ~(uint64_t)APIC_BASE_EXTD) | APIC_BASE_EN);
    apic_sweep();
    apic_fresh();
    print("  %u refused\n", refused);
    return ok && refused > 0x30;
}

bool case_icr(void)
{
    static const uint32_t destinations[] = {0,     1,      2,       0x7F,       0xFE,      0xFF,
                                            0x100, 0xFFFF, 0x10000, 0x80000000, UINT32_MAX};
    unsigned sent = 0;

    gate_set(VECTOR_COUNTING, count_interrupt, false);
    for (unsigned d = 0; d < COUNT(destinations); d++) {
        for (uint32_t low = 0; low < 0x100000; low += 0x100) {
            uint32_t vector = low & 0x100 ? VECTOR_COUNTING : (low >> 12 & 15);

            sent += try_wrmsr(0x830, (uint64_t)destinations[d] << 32 | low | vector);
        }
    }
    interrupt_count = 0;
    irq_set_mask(false);
    wait_us(1000);
    irq_set_mask(true);
    print("  %u commands, %lu interrupts\n", sent, interrupt_count);
    return sent > 10000 && interrupt_count > 0 && interrupt_count < 10;
}

bool case_apic_timer(void)
{
    static const uint64_t deadlines[] = {1, 0, UINT64_MAX, UINT64_C(1) << 63, 2};

    gate_set(VECTOR_COUNTING, count_interrupt, false);
    interrupt_count = 0;
    apic_write(APIC_DIVIDE, 0xB);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_COUNTING);
    irq_set_mask(false);
    for (unsigned i = 0; i < 2000; i++) {
        apic_write(APIC_INITIAL, 1 + i % 3);
    }
    wait_us(100000);
    apic_write(APIC_LVT_TIMER, LVT_DEADLINE | VECTOR_COUNTING);
    for (unsigned i = 0; i < 10000; i++) {
        wrmsr(MSR_DEADLINE, deadlines[i % COUNT(deadlines)]);
    }
    wrmsr(MSR_DEADLINE, 1);
    wait_us(1000);
    irq_set_mask(true);
    apic_write(APIC_LVT_TIMER, 0x60000 | VECTOR_COUNTING); // reserved
    apic_write(APIC_INITIAL, 1);
    apic_fresh();
    print("  %lu interrupts\n", interrupt_count);
    return interrupt_count > 10;
}

// ---- the others ----

// HPET timer 2 holds its input high; each end of interrupt brings the next one.
bool case_level_storm(void)
{
    gate_set(VECTOR_COUNTING, count_interrupt, false);
    interrupt_count = 0;
    mmio_write32(IOAPIC_BASE, 0x10 + 2 * STORM_PIN + 1);
    mmio_write32(IOAPIC_BASE + 0x10, 0);
    mmio_write32(IOAPIC_BASE, 0x10 + 2 * STORM_PIN);
    mmio_write32(IOAPIC_BASE + 0x10, LEVEL_TRIGGERED | VECTOR_COUNTING);
    mmio_write32(HPET_CONFIG, 0);
    mmio_write32(HPET_COUNTER, 0);
    mmio_write32(HPET_COUNTER + 4, 0);
    mmio_write32(HPET_TIMER2, STORM_PIN << 9 | 1 << 1 | 1 << 2);
    mmio_write32(HPET_TIMER2 + 8, 1000);
    mmio_write32(HPET_TIMER2 + 12, 0);
    irq_set_mask(false);
    mmio_write32(HPET_CONFIG, 1);
    for (unsigned i = 0; i < 1000 && interrupt_count < STORM_END; i++) {
        wait_us(1000);
    }
    irq_set_mask(true);
    mmio_write32(HPET_STATUS, UINT32_MAX);
    mmio_write32(HPET_TIMER2, 0);
    print("  %lu interrupts\n", interrupt_count);
    return interrupt_count >= STORM_END && mmio_read32(HPET_CONFIG) == 0;
}

static void random_port(uint16_t first, unsigned count)
{
    uint16_t port = (uint16_t)(first + random_next() % count);

    out8(port, (uint8_t)random_next());
    (void)in8(port);
}

bool case_timers(void)
{
    for (unsigned i = 0; i < RANDOM_ACCESSES; i++) {
        uint64_t r = random_next();

        switch (r % 8) {
        case 0:
        case 1:
            random_port(0x40, 4);
            break;
        case 2:
            random_port(0x70, 2);
            break;
        case 3:
            random_port(0x61, 1);
            break;
        case 4:
            random_port(0x600, 4);
            (void)in32(0x608);
            break;
        case 5:
            mmio_write32(IOAPIC_BASE + (r >> 8) % 5 * 0x10, (uint32_t)(r >> 32));
            break;
        default:
            // Near values too, so that much comes due.
            mmio_write32(HPET + (r >> 8) % 0x60 * 4,
                         (r >> 20) % 2 ? (uint32_t)(r >> 32) : (uint32_t)(r >> 32) % 4096);
        }
    }
    mmio_write32(HPET_CONFIG, 0);
    for (unsigned pin = 0; pin < 24; pin++) {
        mmio_write32(IOAPIC_BASE, 0x10 + 2 * pin);
        mmio_write32(IOAPIC_BASE + 0x10, LVT_MASKED);
    }
    irq_enable_line(board.uart_irq);
    apic_fresh(); // what came meanwhile
    print("  still here\n");
    return mmio_read32(HPET) >> 16 == 0x8086;
}
