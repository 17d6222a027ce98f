// SPDX-License-Identifier: Apache-2.0
//
// See vm_life.h.
#include "vmm/manage/vm_life.h"

#include <stdio.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/dev/random.h"
#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"
#include "vmm/loader/loader.h"
#include "vmm/manage/board_parts.h"
#include "vmm/manage/console.h"
#include "vmm/manage/guest_memory.h"

static unsigned next_cpu; // where the next vCPU without pcpus goes

uint64_t vm_life_ms(void)
{
    return time_to_us(arch_time_now()) / 1000;
}

// Loads all images afresh and says where to start.
static enum status load_images(struct managed *m)
{
    uint8_t seed[VM_FDT_SEED_SIZE];
    struct loader_source src = {.arch = LODGE_ARCH, .seed = seed};
    enum status s = loader_open(&m->vm, &src);

    if (s != OK) {
        return s;
    }
    random_bytes(seed, sizeof(seed));
    return vm_load(&m->vm, &src, &m->entry);
}

static void choose_cpus(struct managed *m)
{
    const struct vm_config *c = &m->config;

    for (unsigned i = 0; i < c->cpus; i++) {
        unsigned pick = next_cpu % cpu_online_count();

        if (c->sched.pcpu_count) {
            pick = c->sched.pcpus[i % c->sched.pcpu_count];
        } else {
            next_cpu = (next_cpu + 1) % cpu_online_count();
        }
        m->pcpus[i] = (uint16_t)pick;
    }
}

static enum status build_plan(struct vm *vm)
{
    struct config_errors *errors = pool_alloc(sizeof(*errors));
    enum status s = E_NOMEM;

    if (errors) {
        s = plan_build(&vm->plan, vm->config, LODGE_ARCH, errors);
        pool_free(errors, sizeof(*errors));
    }
    if (s == OK && board_parts()->resolve_irqchip) {
        s = board_parts()->resolve_irqchip(vm);
    }
    return s;
}

static void close_port(struct char_backend *port)
{
    if (port) {
        port->ops->destroy(port);
    }
}

// The guest's name on the shared console is its virtio-console's when it has one; the UART is then called after itself.
static enum status open_ports(struct managed *m)
{
    const struct vm_plan *plan = &m->vm.plan;
    char uart[CONFIG_NAME_MAX + 8];
    bool virtio = false;

    for (unsigned i = 0; i < plan->device_count; i++) {
        virtio |= plan->devices[i].model == MODEL_VIRTIO_CONSOLE;
    }
    snprintf(uart, sizeof(uart), "%s%s", vm_name(&m->vm), virtio ? ":uart" : "");
    if (virtio) {
        m->board.virtio_console = console_port(vm_name(&m->vm));
    }
    m->board.console = console_port(uart);
    return m->board.console && (m->board.virtio_console || !virtio) ? OK : E_NOMEM;
}

// Clearing and loading take long: they run as one of the guests, so that better ones are not kept waiting.
static void bulk_begin(void)
{
    thread_set_bulk(true);
}

static void bulk_end(void)
{
    thread_set_bulk(false);
}

void vm_life_destroy(struct managed *m)
{
    vm_board_destroy(&m->vm, &m->board);
    close_port(m->board.console);
    close_port(m->board.virtio_console);
    if (m->memory) {
        bulk_begin();
        guest_memory_destroy(m->memory);
        bulk_end();
    }
    vm_core_destroy(&m->vm);
    pool_free(m, sizeof(*m));
}

static enum status fill(struct managed *m)
{
    struct vm *vm = &m->vm;
    enum status s = guest_memory_create(vm, &m->memory);

    if (s != OK) {
        log_err("[%s] refused: %llu MiB of memory: %s", vm_name(vm),
                (unsigned long long)(vm->config->memory >> 20), status_name(s));
        return s;
    }
    s = open_ports(m);
    if (s == OK) {
        s = vm_board_create(vm, &m->board);
    }
    return s == OK ? load_images(m) : s;
}

enum status vm_life_create(const struct vm_config *c, unsigned id, const struct vm_manager_ops *ops,
                           struct managed **out)
{
    struct managed *m = pool_alloc(sizeof(*m));
    enum status s;

    if (!m) {
        log_err("[%s] refused: out of memory", c->name);
        return E_NOMEM;
    }
    m->config = *c;
    m->vm.config = &m->config;
    m->vm.id = id;
    m->vm.manager = ops;
    choose_cpus(m);
    s = build_plan(&m->vm);
    if (s == OK) {
        s = vm_core_create(&m->vm, m->pcpus);
    }
    if (s != OK) {
        log_err("[%s] refused: %s", c->name, status_name(s));
        pool_free(m, sizeof(*m));
        return s;
    }
    bulk_begin();
    s = fill(m);
    bulk_end();
    if (s != OK) {
        vm_life_destroy(m);
        return s;
    }
    m->vm.state = VM_CREATED;
    *out = m;
    return OK;
}

// Fresh memory, fresh images, devices at power-on.
static enum status refresh(struct managed *m)
{
    enum status s;

    vm_board_reset(&m->vm);
    bulk_begin();
    guest_memory_scrub(m->memory);
    arch_tlb_flush_guest(m->vm.vmid, gpa(0), 0);
    arch_icache_invalidate_all();
    s = load_images(m);
    bulk_end();
    return s;
}

enum status vm_life_start(struct managed *m)
{
    bool again = m->vm.state != VM_CREATED;
    enum status s = again ? refresh(m) : OK;

    if (s != OK) {
        m->vm.state = VM_CRASHED;
        return s;
    }
    if (again) {
        m->vm.restarts++;
        log_info("[%s] starts again (%u)", vm_name(&m->vm), m->vm.restarts);
    } else {
        log_info("[%s] starts: %u vCPU on CPU %u, %llu MiB", vm_name(&m->vm), m->config.cpus, m->pcpus[0],
                 (unsigned long long)(m->config.memory >> 20));
    }
    m->started_at = arch_time_now();
    restart_started(&m->restart, vm_life_ms());
    vm_start(&m->vm, &m->entry);
    return OK;
}
