// SPDX-License-Identifier: Apache-2.0
//
// Ticket spinlocks. Every form masks interrupts while the lock is held, so a lock may be shared by worker threads,
// vCPU threads and interrupt handlers. spin_lock() keeps the interrupt state it found in the lock itself: nested plain
// locks are released in reverse order. spin_lock_masked() is for short sections of code that runs with interrupts masked
// anyway (vCPU threads, interrupt handlers): it is inline and touches nothing but the lock.
//
// Debug builds check the written order (kernel/sync/lock_order.h) and the owner through `struct lock_tracker`, which is
// the first member of struct cpu. Before a CPU has called arch_set_this_cpu() locks work unchecked.
#pragma once

#include <stdatomic.h>

#include "kernel/lib/types.h"
#include "kernel/sync/lock_order.h"

typedef unsigned long irq_state_t;

struct spinlock {
    _Atomic uint32_t next;
    _Atomic uint32_t owner;
    enum lock_rank rank;
    uint32_t holder;   // debug builds: lock_tracker.id of the CPU that holds it
    irq_state_t saved; // of the holder, by the plain forms
};

#define SPINLOCK_INIT(r) \
    {                    \
        .rank = (r)      \
    }

// What one CPU holds. First member of struct cpu.
struct lock_tracker {
    uint32_t id;         // CPU index + 1
    uint32_t held_ranks; // bit per enum lock_rank
};

void spin_init(struct spinlock *lock, enum lock_rank rank);
void spin_lock(struct spinlock *lock);
bool spin_trylock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
irq_state_t spin_lock_irqsave(struct spinlock *lock);
void spin_unlock_irqrestore(struct spinlock *lock, irq_state_t state);

// Out of line: the wait for one's turn, and what debug builds do instead of the inline part.
void spin_wait(const struct spinlock *lock, uint32_t ticket);
void spin_lock_checked(struct spinlock *lock);
void spin_unlock_checked(struct spinlock *lock);

// Interrupts masked, before and after; the two belong together.
static inline void spin_lock_masked(struct spinlock *lock)
{
    uint32_t ticket;

    if (LODGE_DEBUG) {
        spin_lock_checked(lock);
        return;
    }
    ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    // Pairs with the release below and in spinlock.c.
    if (__builtin_expect(atomic_load_explicit(&lock->owner, memory_order_acquire) != ticket, false)) {
        spin_wait(lock, ticket);
    }
}

// Only if nobody has it. False in debug builds, which check every lock: the caller has a way that waits.
static inline bool spin_try_masked(struct spinlock *lock)
{
    uint32_t owner;

    if (LODGE_DEBUG) {
        return false;
    }
    // Pairs with the releases, as in spin_lock_masked().
    owner = atomic_load_explicit(&lock->owner, memory_order_acquire);
    return atomic_compare_exchange_strong_explicit(&lock->next, &owner, owner + 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void spin_unlock_masked(struct spinlock *lock)
{
    if (LODGE_DEBUG) {
        spin_unlock_checked(lock);
        return;
    }
    atomic_store_explicit(&lock->owner, atomic_load_explicit(&lock->owner, memory_order_relaxed) + 1,
                          memory_order_release);
}

// Panics in debug builds unless this CPU holds the lock.
void spin_assert_held(const struct spinlock *lock);
