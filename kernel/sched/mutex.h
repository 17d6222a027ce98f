// SPDX-License-Identifier: Apache-2.0
//
// A sleeping lock for worker threads (file systems, long device operations). Never in interrupt handlers or vCPU exits.
#pragma once

#include "kernel/sched/thread.h"

struct mutex {
    struct wait_queue wq;
    _Atomic(struct thread *) owner;
};

void mutex_init(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
