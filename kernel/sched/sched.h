// SPDX-License-Identifier: Apache-2.0
//
// Between the files of kernel/sched only.
#pragma once

#include "kernel/sched/thread.h"

// thread_wake() without the switch: returns true when the calling CPU should call sched_resched_local() once it holds no
// lock. Other CPUs are told at once.
bool sched_wake_deferred(struct thread *t);

// Switches now when interrupts are on; later, by an interrupt to itself, when they are masked; at the end of the interrupt
// when in one.
void sched_resched_local(void);
