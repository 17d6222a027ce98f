// SPDX-License-Identifier: Apache-2.0
//
// Self-test of the life cycle: 1,000 guests are created, started and killed at random moments, from two CPUs at once, while
// a third thread throws random operations at all of them. Afterwards every allocator counter is where it was.
//
// The guest is the heartbeat of the configuration; the commands are those of the shell, by the same queue.
#include <stdio.h>
#include <string.h>

#include "arch/time.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "vmm/manage/manager.h"
#include "vmm/manage/vm_table.h"

#define CYCLES 1000
#define WARM_UP 20
#define WORKERS 2
#define LIFE_MAX_US 8000

static const char *const names[WORKERS] = {"churn-a", "churn-b"};

struct counters {
    uint64_t free, held; // bytes free, allocations not given back; slabs of small objects left out
    uint64_t objects, bytes;
    unsigned vmids, vms;
};

static struct worker {
    struct completion done;
    const char *name;
    unsigned cycles, failed;
    uint32_t seed;
} workers[WORKERS];

static _Atomic bool meddling;
static struct completion meddler_gone;
static unsigned meddled;

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void count(struct counters *c)
{
    struct page_stats pages;
    struct pool_stats pool;

    page_stats_get(&pages);
    pool_stats_get(&pool);
    *c = (struct counters){.free = pages.free + pool.slab_bytes,
                           .held = pages.alloc_count - pages.free_count - pool.slabs,
                           .objects = pool.live_objects,
                           .bytes = pool.live_bytes,
                           .vmids = vm_vmids_used(),
                           .vms = vm_table_count()};
}

// ---- one life --------------------------------------------------------------------------------------------------------

static size_t describe(char *text, size_t size, const char *name, uint32_t *seed)
{
    unsigned cpus = 1 + next_random(seed) % 3;
    bool disk = next_random(seed) % 2;

    snprintf(text, size,
             "[[vm]]\nname = \"%s\"\ncpus = %u\nmemory = \"4M\"\non_crash = \"restart\"\n[vm.boot]\nkernel = "
             "\"heartbeat\"\n%s",
             name, cpus,
             disk ? "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"ram:\"\nsize = \"64K\"\n"
                    "[[vm.device]]\nmodel = \"virtio-console\"\n"
                  : "");
    return strlen(text);
}

// True when nothing unexpected happened. Others meddle: a state may be any, but the VM is there until destroyed here.
static bool live_and_die(const char *name, uint32_t *seed)
{
    char text[400];
    struct manager_command create = {.kind = MANAGER_CREATE_TEXT, .path = "churn.toml", .text = text};
    enum status s;

    create.len = describe(text, sizeof(text), name, seed);
    s = manager_run(&create);
    if (s != OK) {
        log_err("churn: create %s: %s", name, status_name(s));
        return false;
    }
    thread_sleep(time_from_us(next_random(seed) % LIFE_MAX_US));
    for (unsigned i = next_random(seed) % 3; i > 0; i--) {
        s = manager_vm_op(name, (enum vm_op)(next_random(seed) % VM_OP_DESTROY));
        if (s != OK && s != E_STATE) {
            log_err("churn: %s: %s", name, status_name(s));
            return false;
        }
        thread_sleep(time_from_us(next_random(seed) % LIFE_MAX_US / 2));
    }
    s = manager_vm_op(name, VM_OP_DESTROY);
    if (s != OK) {
        log_err("churn: destroy %s: %s", name, status_name(s));
    }
    return s == OK;
}

static void worker_main(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < w->cycles; i++) {
        w->failed += !live_and_die(w->name, &w->seed);
    }
    completion_signal(&w->done);
}

// Anything but destroying, at any time, at names that may or may not exist.
static void meddler_main(void *arg)
{
    uint32_t seed = 77;

    (void)arg;
    while (meddling) {
        enum vm_op op = (enum vm_op)(next_random(&seed) % VM_OP_DESTROY);

        (void)!manager_vm_op(names[next_random(&seed) % WORKERS], op);
        meddled++;
        thread_sleep(time_from_us(next_random(&seed) % LIFE_MAX_US));
    }
    completion_signal(&meddler_gone);
}

static bool spawn(const char *name, void (*entry)(void *arg), void *arg, unsigned cpu)
{
    struct thread *t = thread_create(
        &(struct thread_attr){.name = name, .entry = entry, .arg = arg, .cpu = cpu, .prio = PRIO_WORKER});

    if (t) {
        thread_start(t);
    }
    return t != NULL;
}

static unsigned run_cycles(unsigned cycles)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];

        w->name = names[i];
        w->cycles = cycles / WORKERS;
        w->seed += 12345 * (i + 1);
        w->failed = 0;
        completion_init(&w->done);
        if (!spawn(w->name, worker_main, w, i % cpu_online_count())) {
            return 1;
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        completion_wait(&workers[i].done);
        failed += workers[i].failed;
    }
    return failed;
}

// ---- the test --------------------------------------------------------------------------------------------------------

// Threads that have ended are freed by the reaper, a moment later.
static bool settle(const struct counters *before, struct counters *after)
{
    for (unsigned i = 0; i < 200; i++) {
        count(after);
        if (memcmp(before, after, sizeof(*before)) == 0) {
            return true;
        }
        thread_sleep(time_from_ms(10));
    }
    return false;
}

static unsigned run(void (*report)(const char *name, bool ok))
{
    enum log_level level = log_get_level();
    struct counters before, after = {0};
    unsigned failed;
    bool same;

    if (manager_start_bare() != OK) {
        report("life cycle: manager", false);
        return 1;
    }
    log_set_level(LOG_ERR);
    failed = run_cycles(WARM_UP);
    thread_sleep(time_from_ms(200));
    count(&before);
    meddling = true;
    completion_init(&meddler_gone);
    failed += spawn("meddler", meddler_main, NULL, 0) ? 0 : 1;
    failed += run_cycles(CYCLES);
    meddling = false;
    completion_wait(&meddler_gone);
    same = settle(&before, &after);
    log_set_level(level);
    log_info("life cycle: %u lives, %u operations by others, %u failures", CYCLES, meddled, failed);
    log_info("free pages %lld, allocations %lld, objects %lld, bytes %lld, VMIDs %d: change",
             (long long)(after.free - before.free), (long long)(after.held - before.held),
             (long long)(after.objects - before.objects), (long long)(after.bytes - before.bytes),
             (int)(after.vmids - before.vmids));
    report("life cycle: 1000 lives", failed == 0);
    report("life cycle: counters", same);
    return (failed ? 1u : 0u) + (same ? 0u : 1u);
}

static const struct selftest churn = {.run = run};
SELFTEST_DEFINE(churn);
