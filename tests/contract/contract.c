// SPDX-License-Identifier: Apache-2.0
//
// Checks on the architecture contract: contexts, interrupt mask, clock, timer, IPIs, memory, protection.
#include "tests/contract/contract.h"

#include <string.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/mm/page.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define WAIT_MS 200

// ---- CPU --------------------------------------------------------------------------------------------------------------

static bool this_cpu_is_known(void)
{
    return arch_this_cpu() != NULL && cpu_get(arch_this_cpu()->index) == arch_this_cpu() &&
           arch_cpu_describe() != NULL;
}

static bool irq_mask_nests(void)
{
    bool ok = arch_irq_enabled();
    irq_state_t outer = arch_irq_save();
    irq_state_t inner;

    ok &= !arch_irq_enabled();
    inner = arch_irq_save();
    arch_irq_restore(inner);
    ok &= !arch_irq_enabled();
    arch_irq_restore(outer);
    ok &= arch_irq_enabled();
    arch_irq_disable();
    ok &= !arch_irq_enabled();
    arch_irq_enable();
    return ok && arch_irq_enabled();
}

static struct {
    struct arch_context here, there;
    unsigned visits;
    bool masked, aligned, arg_ok;
} sw;

static void visitor(void *arg)
{
    _Alignas(16) volatile char local[16] = {0};

    sw.arg_ok = arg == &sw;
    sw.masked = !arch_irq_enabled();
    sw.aligned = ((uintptr_t)&local[0] & 15) == 0;
    for (unsigned i = 1;; i++) {
        sw.visits += i;
        arch_context_switch(&sw.there, &sw.here);
    }
}

static bool context_switch_keeps_locals(void)
{
    void *stack = stack_alloc();
    irq_state_t irq;
    // More values than there are callee-saved registers on any architecture.
    uint64_t v[16];
    bool ok = true;

    if (stack == NULL) {
        return false;
    }
    for (unsigned i = 0; i < 16; i++) {
        v[i] = arch_time_now() * (i + 3);
    }
    sw.visits = 0;
    irq = arch_irq_save();
    arch_context_init(&sw.there, stack, visitor, &sw);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t sum = v[0] ^ v[5] ^ v[15];

        arch_context_switch(&sw.here, &sw.there);
        ok &= sum == (v[0] ^ v[5] ^ v[15]);
    }
    arch_irq_restore(irq);
    stack_free(stack);
    return ok && sw.visits == 1 + 2 + 3 + 4 && sw.masked && sw.aligned && sw.arg_ok;
}

static void remember_cpu(void *ctx)
{
    *(unsigned *)ctx = arch_this_cpu()->index;
}

static bool every_cpu_answers(void)
{
    for (unsigned i = 0; i < cpu_count(); i++) {
        unsigned got = UINT32_MAX;

        if (cpu_get(i)->online && (cpu_call(i, remember_cpu, &got) != OK || got != i)) {
            return false;
        }
    }
    return true;
}

static void count_frame(uintptr_t pc, void *ctx)
{
    *(unsigned *)ctx += pc != 0 ? 1 : 0;
}

static bool backtrace_ends(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    unsigned frames = 0;

    arch_backtrace(NULL, here - KIB(1), here + KIB(1), count_frame, &frames);
    return frames <= 32;
}

// ---- time -------------------------------------------------------------------------------------------------------------

static bool time_never_steps_back(void)
{
    uint64_t last = arch_time_now();
    uint64_t start = last;

    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now = arch_time_now();

        if (now < last) {
            return false;
        }
        last = now;
        arch_cpu_relax();
    }
    return last > start && arch_time_hz() >= 1000000;
}

static void remote_time(void *ctx)
{
    *(uint64_t *)ctx = arch_time_now();
}

static bool time_is_the_same_everywhere(void)
{
    for (unsigned i = 0; i < cpu_count(); i++) {
        uint64_t before = arch_time_now();
        uint64_t there = before;

        if (cpu_get(i)->online && cpu_call(i, remote_time, &there) != OK) {
            return false;
        }
        if (there < before || there > arch_time_now()) {
            return false;
        }
    }
    return true;
}

static _Atomic unsigned fired;
static uint64_t fired_at;

static void on_timer(struct timer *t)
{
    (void)t;
    fired_at = arch_time_now();
    fired++;
}

static void wait_for_fire(void)
{
    uint64_t limit = arch_time_now() + time_from_ms(WAIT_MS);

    while (fired == 0 && arch_time_now() < limit) {
        arch_cpu_relax();
    }
}

static bool timer_fires_on_time(void)
{
    uint64_t deadline = arch_time_now() + time_from_us(500);
    struct timer t;

    fired = 0;
    timer_setup(&t, on_timer);
    timer_set(&t, deadline);
    wait_for_fire();
    timer_cancel(&t);
    return fired == 1 && fired_at >= deadline;
}

static bool past_deadline_fires_when_unmasked(void)
{
    irq_state_t irq = arch_irq_save();
    struct timer t;
    bool early;

    fired = 0;
    timer_setup(&t, on_timer);
    timer_set(&t, arch_time_now());
    time_delay_us(100);
    early = fired != 0;
    arch_irq_restore(irq);
    wait_for_fire();
    timer_cancel(&t);
    return !early && fired == 1;
}

static bool cancelled_timer_is_silent(void)
{
    irq_state_t irq = arch_irq_save(); // on a slow machine it may be due before it is cancelled
    struct timer t;

    fired = 0;
    timer_setup(&t, on_timer);
    timer_set(&t, arch_time_now() + time_from_us(200));
    timer_cancel(&t);
    arch_irq_restore(irq);
    time_delay_us(400);
    return fired == 0;
}

// ---- memory -----------------------------------------------------------------------------------------------------------

static volatile uint32_t in_data = 0x600DDA7A;
static const uint32_t in_rodata = 0x600D2EAD;

static bool phys_virt_round_trip(void)
{
    char *page = page_alloc(0);
    uint32_t copy;
    bool ok;

    if (page == NULL) {
        return false;
    }
    ok = arch_phys_to_virt(arch_virt_to_phys(page + 123)) == page + 123;
    ok &= arch_virt_to_phys(page + 1).v == arch_virt_to_phys(page).v + 1;
    page_free(page, 0);
    memcpy(&copy, arch_phys_to_virt(arch_virt_to_phys((const void *)(uintptr_t)&in_data)), sizeof(copy));
    return ok && copy == in_data;
}

static bool zero_and_cache_operations(void)
{
    char *p = page_alloc(1);
    bool ok = true;

    if (p == NULL) {
        return false;
    }
    memset(p, 0xA5, 2 * PAGE_SIZE);
    arch_dcache_clean(p + 3, 100);
    arch_dcache_clean_invalidate(p, 2 * PAGE_SIZE);
    arch_icache_invalidate_all();
    ok &= p[0] == (char)0xA5 && p[2 * PAGE_SIZE - 1] == (char)0xA5;
    arch_zero_pages(p, PAGE_SIZE);
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        ok &= p[i] == 0;
    }
    ok &= p[PAGE_SIZE] == (char)0xA5;
    arch_tlb_flush_guest(1, gpa(0), 0);
    page_free(p, 1);
    return ok;
}

// True when the word can be read (or need not be), but not written.
static bool write_faults(const volatile void *where)
{
    volatile uint32_t *va = (volatile uint32_t *)((uintptr_t)where & ~(uintptr_t)3);
    uint32_t same = 0;

    (void)arch_probe_read(va, &same);
    return !arch_probe_write(va, same);
}

static bool probe_tells_the_truth(void)
{
    uint32_t got = 0;

    return arch_probe_write(&in_data, 0x600DDA7A) && arch_probe_read(&in_data, &got) && got == 0x600DDA7A;
}

static bool text_is_read_only(void)
{
    const volatile void *text = (const volatile void *)(uintptr_t)contract_run;

    // Not by its other address either.
    return write_faults(text) &&
           write_faults(arch_phys_to_virt(arch_virt_to_phys((const void *)(uintptr_t)text)));
}

static bool rodata_is_read_only(void)
{
    return write_faults(&in_rodata) && in_rodata == 0x600D2EAD;
}

static bool null_is_unmapped(void)
{
    return write_faults((const volatile void *)16);
}

static bool stacks_have_guards(void)
{
    volatile char *top = stack_alloc();
    uint32_t got;
    bool ok;

    if (top == NULL) {
        return false;
    }
    ok = arch_probe_write((volatile uint32_t *)(uintptr_t)(top - 4), 1);
    ok &= arch_probe_write((volatile uint32_t *)(uintptr_t)(top - STACK_SIZE), 2);
    ok &= write_faults(top - STACK_SIZE - 4);
    ok &= arch_probe_read((volatile uint32_t *)(uintptr_t)(top - 4), &got) && got == 1;
    stack_free((void *)(uintptr_t)top);
    // Unmapped again, and no TLB remembers it.
    return ok && write_faults(top - 4) && !arch_probe_read((volatile uint32_t *)(uintptr_t)(top - 4), &got);
}

// ---- the suite --------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    bool (*check)(void);
} checks[] = {
    {"cpu: this_cpu is known", this_cpu_is_known},
    {"cpu: interrupt mask nests", irq_mask_nests},
    {"cpu: context switch keeps locals", context_switch_keeps_locals},
    {"cpu: every CPU answers a call", every_cpu_answers},
    {"cpu: backtrace ends", backtrace_ends},
    {"time: never steps back", time_never_steps_back},
    {"time: the same on every CPU", time_is_the_same_everywhere},
    {"time: timer fires on time", timer_fires_on_time},
    {"time: past deadline fires when unmasked", past_deadline_fires_when_unmasked},
    {"time: cancelled timer is silent", cancelled_timer_is_silent},
    {"mmu: physical and virtual round trip", phys_virt_round_trip},
    {"mmu: zeroing and cache operations", zero_and_cache_operations},
    {"mmu: probe tells the truth", probe_tells_the_truth},
    {"mmu: text cannot be written", text_is_read_only},
    {"mmu: read-only data cannot be written", rodata_is_read_only},
    {"mmu: null is not mapped", null_is_unmapped},
    {"mmu: stacks have guard pages", stacks_have_guards},
};

unsigned contract_run(void (*report)(const char *name, bool ok))
{
    unsigned failed = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
        bool ok = checks[i].check();

        report(checks[i].name, ok);
        failed += ok ? 0 : 1;
    }
    return failed;
}
