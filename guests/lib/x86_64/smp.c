// SPDX-License-Identifier: Apache-2.0
//
// Further CPUs of an x86_64 guest: INIT and start-up messages (Intel SDM vol. 3A, 9.4). They begin in real mode on a page
// below 1 MiB, whose code start.S has. There is no firmware to ask: who is on is remembered here.
#include "guests/lib/x86_64/cpu.h"

#define CPUS_MAX 16u
#define PAGE 0x8000u // of the code below 1 MiB
#define ICR_INIT UINT64_C(0x4500)
#define ICR_STARTUP (UINT64_C(0x4600) | PAGE >> 12)
#define TRIES 100u
#define TRIES_PER_SECOND 1000u

// ACPI 6.5, 5.2: offsets in tables.
#define RSDP_XSDT 24u
#define TABLE_LENGTH 4u
#define HEADER_SIZE 36u
#define MADT_ENTRIES 44u
#define ENTRY_LOCAL_APIC 0u
#define APIC_ENABLED 1u

extern const char ap_page[], ap_page_end[];

static enum cpu_state states[CPUS_MAX] = {CPU_ON, [1 ... CPUS_MAX - 1] = CPU_OFF};
// What CPU n runs when it comes up: looked at by start.S.
extern const struct cpu_start *volatile ap_starts[CPUS_MAX];
const struct cpu_start *volatile ap_starts[CPUS_MAX];

static unsigned self(void)
{
    return cpuid(1, 0).ebx >> 24;
}

static enum cpu_state state_of(uint64_t id)
{
    return __atomic_load_n(&states[id], __ATOMIC_ACQUIRE);
}

static void set_state(uint64_t id, enum cpu_state s)
{
    __atomic_store_n(&states[id], s, __ATOMIC_RELEASE);
}

// ---- which there are: one entry of the MADT for each ----

static const uint8_t *table_at(uint64_t address)
{
    return (const uint8_t *)(uintptr_t)address;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static const uint8_t *find_madt(void)
{
    const uint8_t *xsdt = table_at(get64(table_at(board.rsdp) + RSDP_XSDT));

    for (uint32_t at = HEADER_SIZE; at + 8 <= get32(xsdt + TABLE_LENGTH); at += 8) {
        const uint8_t *table = table_at(get64(xsdt + at));

        if (table[0] == 'A' && table[1] == 'P' && table[2] == 'I' && table[3] == 'C') {
            return table;
        }
    }
    return NULL;
}

// Without tables any may be there.
static bool exists(uint64_t id)
{
    const uint8_t *madt = board.rsdp ? find_madt() : NULL;
    uint32_t at = MADT_ENTRIES;

    while (madt && at + 8 <= get32(madt + TABLE_LENGTH) && madt[at + 1]) {
        if (madt[at] == ENTRY_LOCAL_APIC && madt[at + 3] == id && (madt[at + 4] & APIC_ENABLED)) {
            return true;
        }
        at += madt[at + 1];
    }
    return !madt;
}

// ---- starting and stopping ----

void ap_main(const struct cpu_start *start)
{
    void (*entry)(void *arg) = start->entry;
    void *arg = start->arg;

    traps_load();
    apic_enable();
    set_state(self(), CPU_ON);
    entry(arg);
    cpu_stop();
}

static void send(uint64_t id, uint64_t message)
{
    apic_write(APIC_ICR, id << 32 | message);
}

static void pause_a_try(void)
{
    uint64_t end = time_now() + time_hz() / TRIES_PER_SECOND;

    while (time_now() < end) {
        __builtin_ia32_pause();
    }
}

// A start-up message that comes before the CPU has done its INIT is lost: it is sent until the CPU answers.
static bool wake(uint64_t id)
{
    send(id, ICR_INIT);
    for (unsigned i = 0; i < TRIES && state_of(id) == CPU_STARTING; i++) {
        send(id, ICR_STARTUP);
        pause_a_try();
    }
    return state_of(id) != CPU_STARTING;
}

enum cpu_answer cpu_start(uint64_t id, const struct cpu_start *start)
{
    enum cpu_state was = CPU_OFF;

    if (id >= CPUS_MAX) {
        return CPU_REFUSED;
    }
    if (!__atomic_compare_exchange_n(&states[id], &was, CPU_STARTING, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        return was == CPU_ON ? CPU_ALREADY_ON : was == CPU_STARTING ? CPU_ON_PENDING : CPU_REFUSED;
    }
    memcpy((void *)(uintptr_t)PAGE, ap_page, (size_t)(ap_page_end - ap_page)); // always the same bytes
    ap_starts[id] = start;
    if (!wake(id)) {
        set_state(id, CPU_UNKNOWN);
        return CPU_REFUSED;
    }
    return CPU_STARTED;
}

enum cpu_state cpu_state(uint64_t id)
{
    return id < CPUS_MAX && exists(id) ? state_of(id) : CPU_UNKNOWN;
}

void cpu_stop(void)
{
    set_state(self(), CPU_OFF);
    for (;;) {
        __asm__ volatile("cli\n hlt");
    }
}

// Masked interrupts do not end HLT: they are taken.
bool cpu_suspend(void)
{
    irq_wait();
    return true;
}
