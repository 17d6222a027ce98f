// SPDX-License-Identifier: Apache-2.0
//
// The local APIC's timer (Intel SDM vol. 3A, 11.5.4): one-shot, periodic and TSC-deadline. Its clock is the host's; one host
// timer stands for it, on whichever CPU armed it last.
#include "arch/time.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vapic_state.h"

#define PERIOD_MIN_US 100u // a shorter one would keep the host's CPU in timer interrupts

// Divide configuration: bits 0, 1 and 3; 111 is divide by 1.
static unsigned divide_shift(uint32_t divide)
{
    unsigned v = (divide & 3) | (divide >> 1 & 4);

    return (v + 1) & 7;
}

static uint32_t mode(const struct vlapic *a)
{
    return a->regs.lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static uint64_t period(const struct vlapic *a)
{
    return (uint64_t)a->clock.initial << divide_shift(a->clock.divide);
}

static void arm_locked(struct vlapic *a, uint64_t deadline)
{
    a->clock.deadline = deadline;
    if (deadline) {
        timer_set(&a->timer, deadline);
    }
}

// A periodic timer whose guest is too slow for it loses periods rather than to hold the CPU.
__attribute__((noinline)) static void rearm_locked(struct vlapic *a)
{
    uint64_t step = max_u64(period(a), time_from_us(PERIOD_MIN_US)), now = arch_time_now();

    a->clock.started = a->clock.deadline;
    if (now - a->clock.started >= step) {
        a->clock.started = now;
    }
    arm_locked(a, a->clock.started + step);
}

// On the CPU that armed it last, where its vCPU mostly is: it has left its guest for this interrupt and cannot have set another
// deadline since.
static void fired(struct timer *t)
{
    struct vlapic *a = container_of(t, struct vlapic, timer);
    // What the hardware works on is handed over before the next entry, at a request.
    bool own = !a->apic->pages && vcpu_is_current(a->vcpu);
    uint32_t self = own ? a->index : VAPIC_NOBODY, lvt = LVT_MASKED;

    spin_lock_masked(&a->lock);
    if (a->clock.deadline && (self != VAPIC_NOBODY || arch_time_now() >= a->clock.deadline)) {
        lvt = a->regs.lvt[LVT_TIMER];
        if ((lvt & LVT_TIMER_MODE) == LVT_TIMER_PERIODIC && a->clock.initial) {
            rearm_locked(a);
        } else {
            a->clock.deadline = 0;
        }
    }
    spin_unlock_masked(&a->lock);
    if (!(lvt & LVT_MASKED)) {
        vlapic_post(a, lvt & LVT_VECTOR, false, self);
    }
}

void vlapic_timer_init(struct vlapic *a)
{
    spin_init(&a->lock, LOCK_VGIC_CPU);
    timer_setup(&a->timer, fired);
}

void vlapic_timer_reset(struct vlapic *a)
{
    timer_cancel(&a->timer);
    a->clock = (struct vlapic_clock){0};
}

static void start_locked(struct vlapic *a)
{
    a->clock.started = arch_time_now();
    arm_locked(a, a->clock.initial ? a->clock.started + period(a) : 0);
}

void vlapic_timer_set_initial(struct vlapic *a, uint32_t v)
{
    irq_state_t irq = spin_lock_irqsave(&a->lock);

    if (mode(a) != LVT_TIMER_DEADLINE) { // ignored there
        a->clock.initial = v;
        start_locked(a);
    }
    spin_unlock_irqrestore(&a->lock, irq);
}

void vlapic_timer_set_divide(struct vlapic *a, uint32_t v)
{
    irq_state_t irq = spin_lock_irqsave(&a->lock);

    a->clock.divide = v;
    if (a->clock.deadline && mode(a) != LVT_TIMER_DEADLINE) {
        start_locked(a);
    }
    spin_unlock_irqrestore(&a->lock, irq);
}

void vlapic_timer_set_deadline(struct vlapic *a, uint64_t host_ticks)
{
    irq_state_t irq = spin_lock_irqsave(&a->lock);

    if (mode(a) == LVT_TIMER_DEADLINE) {
        arm_locked(a, host_ticks);
    }
    spin_unlock_irqrestore(&a->lock, irq);
}

// Between deadline mode and the others, the timer is disarmed.
void vlapic_timer_mode_changed(struct vlapic *a)
{
    irq_state_t irq = spin_lock_irqsave(&a->lock);
    bool deadline = mode(a) == LVT_TIMER_DEADLINE;

    if (deadline && a->clock.initial) {
        a->clock = (struct vlapic_clock){.divide = a->clock.divide};
    } else if (!deadline && !a->clock.initial) {
        a->clock.deadline = 0;
    }
    spin_unlock_irqrestore(&a->lock, irq);
}

uint32_t vlapic_timer_initial(struct vlapic *a)
{
    return a->clock.initial;
}

uint64_t vlapic_timer_deadline(struct vlapic *a)
{
    return mode(a) == LVT_TIMER_DEADLINE ? a->clock.deadline : 0;
}

uint32_t vlapic_timer_current(struct vlapic *a)
{
    irq_state_t irq = spin_lock_irqsave(&a->lock);
    uint64_t now = arch_time_now();
    uint64_t left = a->clock.deadline > now ? a->clock.deadline - now : 0;

    left = mode(a) == LVT_TIMER_DEADLINE ? 0 : left >> divide_shift(a->clock.divide);
    spin_unlock_irqrestore(&a->lock, irq);
    return (uint32_t)left;
}
