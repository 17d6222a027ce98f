// SPDX-License-Identifier: Apache-2.0
//
// Ticket spinlocks. A lock that an interrupt handler may take is always taken with interrupts masked (the _irqsave
// forms). vCPU threads run hypervisor code with interrupts masked already; the plain forms are for them.
#pragma once

#include <stdatomic.h>

#include "kernel/lib/types.h"
#include "kernel/sync/lock_order.h"

struct spinlock {
    _Atomic uint32_t next;
    _Atomic uint32_t owner;
    enum lock_rank rank;
};

#define SPINLOCK_INIT(r) {.rank = (r)}

typedef unsigned long irq_state_t;

void spin_init(struct spinlock *lock, enum lock_rank rank);
void spin_lock(struct spinlock *lock);
bool spin_trylock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
irq_state_t spin_lock_irqsave(struct spinlock *lock);
void spin_unlock_irqrestore(struct spinlock *lock, irq_state_t state);

// Panics in debug builds unless this CPU holds the lock.
void spin_assert_held(const struct spinlock *lock);
