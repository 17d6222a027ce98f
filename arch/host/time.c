// SPDX-License-Identifier: Apache-2.0
//
// The simulated clock: it stands still unless a test advances it, a CPU spins, or everybody idles.
#include "arch/time.h"

#include "arch/cpu.h"
#include "arch/host/machine.h"

bool arch_time_init(const struct boot_info *bi)
{
    (void)bi;
    return true;
}

uint64_t arch_time_now(void)
{
    return host_m.now;
}

uint64_t arch_time_hz(void)
{
    return HOST_HZ;
}

void arch_timer_set(uint64_t deadline)
{
    host_this()->deadline = deadline;
}

void arch_timer_stop(void)
{
    host_this()->deadline = UINT64_MAX;
}

unsigned arch_timer_irq(void)
{
    return HOST_TIMER_IRQ;
}

uint64_t host_timer_deadline(unsigned cpu)
{
    return host_m.cpu[cpu].deadline;
}

uint64_t host_next_deadline(void)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < host_m.cpu_count; i++) {
        next = min_u64(next, host_m.cpu[i].deadline);
    }
    return next;
}

// Everything that the present moment makes ready.
static void settle(void)
{
    do {
        if (!host_cpu_now->masked) {
            host_irq_unmasked();
        }
        // Handling it may have stopped half-way in favour of another CPU.
    } while (host_cpu_run_other() || (!host_cpu_now->masked && host_irq_deliverable()));
}

void host_time_advance(uint64_t ticks)
{
    uint64_t target = host_m.now + ticks;

    for (;;) {
        uint64_t next = host_next_deadline();

        settle();
        next = host_next_deadline();
        if (next <= host_m.now || next > target) {
            break;
        }
        host_m.now = next;
    }
    host_m.now = max_u64(target, host_m.now);
    settle();
}

bool host_run_until(bool (*cond)(void *ctx), void *ctx, uint64_t max_ticks)
{
    uint64_t limit = host_m.now + max_ticks < max_ticks ? UINT64_MAX : host_m.now + max_ticks;

    for (;;) {
        uint64_t next;

        settle();
        if (cond != NULL && cond(ctx)) {
            return true;
        }
        next = host_next_deadline();
        if (next == UINT64_MAX || next > limit) {
            return cond == NULL;
        }
        host_m.now = max_u64(next, host_m.now + 1);
    }
}
