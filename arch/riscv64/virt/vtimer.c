// SPDX-License-Identifier: Apache-2.0
//
// The guest's timer. With Sstc it is vstimecmp, and the hart interrupts the running guest by itself; nobody tells the
// hypervisor, so a host timer stands in while the vCPU sleeps. Without, that host timer is the timer: it raises VSTIP.
#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/virt_local.h"
#include "arch/time.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

uint8_t vtimer_by_host = true;

struct vtimer {
    struct timer timer;
    bool armed;
    struct thread *thread; // to be woken
};

// `when` in host ticks; UINT64_MAX when it is further away than host time goes, 0 when it is over.
static inline uint64_t to_host(const struct arch_vcpu *av, uint64_t when)
{
    uint64_t delta = av->vm->htimedelta;
    uint64_t host_now = csr_read(time);
    uint64_t host = when - delta;

    if (when == UINT64_MAX) {
        return UINT64_MAX;
    }
    if (when <= host_now + delta) {
        return 0;
    }
    return host < host_now ? UINT64_MAX : host;
}

static void fired(struct timer *t)
{
    thread_wake(container_of(t, struct vtimer, timer)->thread);
}

static inline void arm(struct arch_vcpu *av, uint64_t guest_time)
{
    uint64_t when = to_host(av, guest_time);

    if (when != UINT64_MAX) {
        av->vtimer->armed = true;
        timer_set_masked(&av->vtimer->timer, when);
    } else {
        vtimer_unwatch(av);
    }
}

enum status vtimer_create(struct arch_vcpu *av)
{
    av->vtimer = pool_alloc(sizeof(*av->vtimer));
    if (!av->vtimer) {
        return E_NOMEM;
    }
    timer_setup(&av->vtimer->timer, fired);
    return OK;
}

void vtimer_bind(struct arch_vcpu *av)
{
    av->vtimer->thread = thread_current();
}

struct thread *vtimer_thread(const struct arch_vcpu *av)
{
    return av->vtimer->thread;
}

void vtimer_destroy(struct arch_vcpu *av)
{
    vtimer_unwatch(av);
    pool_free(av->vtimer, sizeof(*av->vtimer));
}

// A host timer fires on the CPU that armed it, so a vCPU that comes from another one arms it anew.
void vtimer_load_by_host(struct arch_vcpu *av)
{
    arm(av, av->csr.vstimecmp);
    vtimer_poll(av);
}

// Where a host timer is armed already by vtimer_watch(), it wakes the vCPU wherever its registers are.
uint64_t vtimer_put_own(const struct arch_vcpu *av)
{
    return av->vtimer->armed ? UINT64_MAX : to_host(av, av->csr.vstimecmp);
}

void vtimer_set_by_host(struct arch_vcpu *av, uint64_t guest_time)
{
    av->csr.vstimecmp = guest_time;
    csr_clear(hvip, BIT64(IRQ_VSTI));
    arm(av, guest_time);
    vtimer_poll(av);
}

void vtimer_poll(struct arch_vcpu *av)
{
    if (vtimer_by_host && vtimer_expired(av)) {
        csr_set(hvip, BIT64(IRQ_VSTI));
    }
}

void vtimer_watch(struct arch_vcpu *av)
{
    if (!vtimer_by_host && (csr_read(vsie) & BIT64(IRQ_STI))) {
        arm(av, csr_read(vstimecmp));
    }
}

void vtimer_rest(struct arch_vcpu *av)
{
    irq_files_rest();
    if (!vtimer_by_host) {
        vtimer_unwatch(av);
    }
    vtimer_poll(av);
}

void vtimer_unwatch(struct arch_vcpu *av)
{
    if (av->vtimer->armed) {
        timer_cancel(&av->vtimer->timer);
        av->vtimer->armed = false;
    }
}

uint64_t arch_vcpu_timer_deadline(const struct arch_vcpu *av, uint32_t ignore)
{
    return (ignore & 1) || vtimer_by_host || av->vtimer->armed ? UINT64_MAX
                                                               : to_host(av, vtimer_deadline(av));
}
