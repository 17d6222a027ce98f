// SPDX-License-Identifier: Apache-2.0
//
// Ticket spinlocks: a CPU takes the next number and waits until it is served. FIFO, two words, no wait nodes.
//
// Ordering: the acquire load of `owner` in spin_acquire() pairs with the release store in spin_release().
#include "kernel/sync/spinlock.h"

#include <asm/cpu.h>

#include "arch/cpu.h"
#include "kernel/lib/panic.h"

static struct lock_tracker *tracker(void)
{
    return (struct lock_tracker *)(void *)arch_this_cpu();
}

[[gnu::noreturn]] static void rule_broken(const char *rule, enum lock_rank rank)
{
    panic("spinlock of rank %u: %s", (unsigned)rank, rule);
}

void spin_init(struct spinlock *lock, enum lock_rank rank)
{
    atomic_store_explicit(&lock->next, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
    lock->rank = rank;
    lock->holder = 0;
    lock->saved = 0;
}

// Before waiting: the order, and no second acquisition by the same CPU.
static void debug_before(const struct spinlock *lock)
{
    const struct lock_tracker *t = tracker();

    if (t == NULL) {
        return;
    }
    if (lock->holder == t->id && atomic_load_explicit(&lock->next, memory_order_relaxed) !=
                                     atomic_load_explicit(&lock->owner, memory_order_relaxed)) {
        rule_broken("lock taken twice by one CPU", lock->rank);
    }
    if (lock->rank != LOCK_NONE && (t->held_ranks >> (unsigned)lock->rank) != 0) {
        rule_broken("lock order violated", lock->rank);
    }
}

static void debug_taken(struct spinlock *lock)
{
    struct lock_tracker *t = tracker();

    if (t == NULL) {
        return;
    }
    lock->holder = t->id;
    if (lock->rank != LOCK_NONE) {
        t->held_ranks |= 1u << (unsigned)lock->rank;
    }
}

static void debug_release(struct spinlock *lock)
{
    struct lock_tracker *t = tracker();

    // A lock taken before this CPU was known is released unchecked.
    if (t == NULL || lock->holder == 0) {
        return;
    }
    if (lock->holder != t->id) {
        rule_broken("lock released by another CPU", lock->rank);
    }
    lock->holder = 0;
    t->held_ranks &= ~(lock->rank != LOCK_NONE ? 1u << (unsigned)lock->rank : 0);
}

__attribute__((noinline)) void spin_wait(const struct spinlock *lock, uint32_t ticket)
{
    while (atomic_load_explicit(&lock->owner, memory_order_acquire) != ticket) {
        arch_cpu_relax();
    }
}

static inline void spin_acquire(struct spinlock *lock)
{
    uint32_t ticket;

    if (LODGE_DEBUG) {
        debug_before(lock);
    }
    ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    if (__builtin_expect(atomic_load_explicit(&lock->owner, memory_order_acquire) != ticket, 0)) {
        spin_wait(lock, ticket); // out of line: the others need no stack frame
    }
    if (LODGE_DEBUG) {
        debug_taken(lock);
    }
}

static void spin_release(struct spinlock *lock)
{
    uint32_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);

    if (LODGE_DEBUG) {
        debug_release(lock);
    }
    atomic_store_explicit(&lock->owner, owner + 1, memory_order_release);
}

void spin_lock_checked(struct spinlock *lock)
{
    if (arch_irq_enabled()) {
        rule_broken("lock taken with interrupts on", lock->rank);
    }
    arch_irq_disable(); // as they are; other simulated CPUs of unit tests go on here
    spin_acquire(lock);
}

void spin_unlock_checked(struct spinlock *lock)
{
    spin_release(lock);
}

irq_state_t spin_lock_irqsave(struct spinlock *lock)
{
    irq_state_t state = arch_irq_save();

    spin_acquire(lock);
    return state;
}

void spin_unlock_irqrestore(struct spinlock *lock, irq_state_t state)
{
    spin_release(lock);
    arch_irq_restore(state);
}

void spin_lock(struct spinlock *lock)
{
    irq_state_t state = arch_irq_save();

    spin_acquire(lock);
    lock->saved = state;
}

void spin_unlock(struct spinlock *lock)
{
    irq_state_t state = lock->saved;

    spin_release(lock);
    arch_irq_restore(state);
}

bool spin_trylock(struct spinlock *lock)
{
    irq_state_t state = arch_irq_save();
    uint32_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    uint32_t expected = owner;

    // Acquire pairs with the release in spin_release(): `next` equals `owner` only when nobody holds or waits.
    if (!atomic_compare_exchange_strong_explicit(&lock->next, &expected, owner + 1, memory_order_acquire,
                                                 memory_order_relaxed)) {
        arch_irq_restore(state);
        return false;
    }
    // Synchronises with the last holder.
    (void)atomic_load_explicit(&lock->owner, memory_order_acquire);
    if (LODGE_DEBUG) {
        debug_taken(lock);
    }
    lock->saved = state;
    return true;
}

void spin_assert_held(const struct spinlock *lock)
{
    const struct lock_tracker *t = tracker();

    if (LODGE_DEBUG && t != NULL && lock->holder != t->id) {
        rule_broken("lock not held", lock->rank);
    }
}
