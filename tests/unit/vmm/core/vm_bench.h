// SPDX-License-Identifier: Apache-2.0
//
// What the tests of VMs and vCPUs share: a machine, a small VM with 2 MiB of RAM and scripted vCPUs, running them to the end.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"

#define RAM UINT64_C(0x40000000)
#define VCPUS 3
#define SECOND HOST_HZ

static struct vm vm;
static struct vm_config config;
static struct gmem_extent extent;
static struct gmem_region region;
static uint16_t pcpus[VCPUS];
static unsigned stops;
static uint32_t budget_us, period_us;
static uint64_t stolen_base;
static uint8_t *ram;

static inline void stopped(struct vm *v)
{
    assert_ptr_equal(v, &vm);
    stops++;
}

static const struct vm_manager_ops ops = {.stopped = stopped};
static const struct vcpu_entry entry = {.pc = RAM + 0x1000, .arg = 0x77};

// ---- the machine -----------------------------------------------------------------------------------------------------

static inline void make(unsigned cpus, unsigned vcpus)
{
    host_boot(MIB(64), cpus);
    memset(&vm, 0, sizeof(vm));
    memset(&config, 0, sizeof(config));
    strcpy(config.name, "test");
    strcpy(config.where.file, "test.toml");
    config.where.line = 3;
    config.cpus = vcpus;
    config.sched.priority = 8;
    config.sched.budget_us = budget_us;
    config.sched.period_us = period_us;
    vm.config = &config;
    vm.manager = &ops;
    vm.plan.stolen_base = stolen_base;
    stops = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        pcpus[i] = (uint16_t)(i % cpus);
        host_guest_script(i, NULL, 0);
    }
    assert_int_equal(vm_core_create(&vm, pcpus), OK);
    assert_int_equal(page_alloc_range(MIB(2), BLOCK_SIZE, &extent.hpa), OK);
    extent.offset = 0;
    extent.size = MIB(2);
    region = (struct gmem_region){.base = gpa(RAM),
                                  .size = MIB(2),
                                  .kind = GMEM_RAM,
                                  .perm = PERM_R | PERM_W | PERM_X,
                                  .extent_count = 1,
                                  .extents = &extent};
    ram = arch_phys_to_virt(extent.hpa);
    memset(ram, 0, MIB(2));
    assert_int_equal(vm_map_region(&vm, &region), OK);
    (void)host_console_take();
}

static inline bool gone(void *ctx)
{
    return *(bool *)ctx;
}

static inline void destroy_main(void *arg)
{
    vm_core_destroy(&vm);
    *(bool *)arg = true;
}

static inline bool in_worker(void (*fn)(void *arg), bool *done)
{
    struct thread *t =
        thread_create(&(struct thread_attr){.name = "test", .entry = fn, .arg = done, .prio = PRIO_WORKER});

    assert_non_null(t);
    *done = false;
    thread_start(t);
    return host_run_until(gone, done, 20ull * SECOND);
}

static inline void end(void)
{
    bool done;

    assert_true(in_worker(destroy_main, &done));
    assert_int_equal(vm_vmids_used(), 0);
}

static inline bool is_off(void *ctx)
{
    (void)ctx;
    return vm.running_vcpus == 0;
}

static inline void run_to_end(void)
{
    assert_true(host_run_until(is_off, NULL, 20ull * SECOND));
}

static inline void run_ms(unsigned ms)
{
    (void)host_run_until(NULL, NULL, 0);
    host_time_advance(time_from_ms(ms));
    (void)host_run_until(NULL, NULL, 0);
}

// ---- scripts ---------------------------------------------------------------------------------------------------------

static inline void let_others(struct arch_vcpu *av)
{
    (void)av;
    host_cpu_yield();
}

#define YIELD                                    \
    {                                            \
        .kind = HOST_STEP_CALL, .fn = let_others \
    }
#define ON(t, e)                                                                               \
    {                                                                                          \
        .exit = {.kind = VCPU_EXIT_CPU_ON, .cpu_on = {.target = (t), .entry = (e), .arg = 9} } \
    }
#define STATE_OF(t)                                                                                         \
    {                                                                                                       \
        .exit = {.kind = VCPU_EXIT_HYPERCALL, .hypercall = {.function = VCPU_CALL_CPU_STATE, .args = {t}} } \
    }
