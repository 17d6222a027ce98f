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

// In host ticks; UINT64_MAX when it is further away than host time goes.
static uint64_t host_deadline(const struct arch_vcpu *av)
{
    uint64_t when = vtimer_deadline(av);
    uint64_t host_now = csr_read(time);
    uint64_t now = host_now + av->vm->htimedelta;
    uint64_t host;

    if (when == UINT64_MAX) {
        return UINT64_MAX;
    }
    if (when <= now) {
        return host_now;
    }
    return __builtin_add_overflow(host_now, when - now, &host) ? UINT64_MAX : host;
}

static void fired(struct timer *t)
{
    thread_wake(container_of(t, struct vtimer, timer)->thread);
}

static void arm(struct arch_vcpu *av)
{
    uint64_t when = host_deadline(av);

    if (when != UINT64_MAX) {
        timer_set(&av->vtimer->timer, when);
        av->vtimer->armed = true;
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
void vtimer_load(struct arch_vcpu *av)
{
    if (!vtimer_by_host) {
        csr_write(vstimecmp, av->csr.vstimecmp);
        return;
    }
    arm(av);
    vtimer_poll(av);
}

void vtimer_put(struct arch_vcpu *av)
{
    if (!vtimer_by_host) {
        av->csr.vstimecmp = csr_read(vstimecmp);
        csr_write(vstimecmp, UINT64_MAX);
    }
}

void vtimer_set_by_host(struct arch_vcpu *av, uint64_t guest_time)
{
    av->csr.vstimecmp = guest_time;
    csr_clear(hvip, BIT64(IRQ_VSTI));
    arm(av);
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
        arm(av);
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

// Where a host timer is armed already, for want of Sstc or by vtimer_watch(), it wakes the vCPU wherever its registers are.
uint64_t arch_vcpu_timer_deadline(const struct arch_vcpu *av, uint32_t ignore)
{
    return (ignore & 1) || vtimer_by_host || av->vtimer->armed ? UINT64_MAX : host_deadline(av);
}
