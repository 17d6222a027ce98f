// SPDX-License-Identifier: Apache-2.0
//
// See selftest.h.
#include "kernel/selftest.h"

#include "arch/boot.h"
#include "kernel/log/log.h"
#include "kernel/sched/thread.h"

extern const struct selftest *const __start_selftests[];
extern const struct selftest *const __stop_selftests[];

static unsigned passed, failed;

static void report(const char *name, bool ok)
{
    *(ok ? &passed : &failed) += 1;
    log_info("selftest: %s %s", name, ok ? "ok" : "FAILED");
}

static void selftest_main(void *arg)
{
    (void)arg;
    for (const struct selftest *const *t = __start_selftests; t < __stop_selftests; t++) {
        (void)(*t)->run(report);
    }
    log_info("selftest: %u passed, %u failed", passed, failed);
    arch_poweroff();
}

bool selftest_start(void)
{
    struct thread *t;

    if (&__start_selftests[0] == &__stop_selftests[0]) {
        return false;
    }
    t = thread_create(&(struct thread_attr){.name = "selftest", .entry = selftest_main, .prio = PRIO_WORKER});
    if (!t) {
        panic("no memory for the self-test");
    }
    thread_start(t);
    return true;
}
