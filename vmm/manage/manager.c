// SPDX-License-Identifier: Apache-2.0
//
// See manager.h. What happens to one VM is a line of small steps, each undone when a later one fails; what happened in a
// VM (it powered off, crashed, wants a reset) is posted here by its last vCPU and handled by the worker.
#include "vmm/manage/manager.h"

#include <string.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "drivers/irqchip/gic_virt.h"
#include "kernel/cpu/cpu.h"
#include "kernel/fs/fs.h"
#include "kernel/irq/irq.h"
#include "kernel/mm/pool.h"
#include "vmm/config/embed.h"
#include "vmm/core/vcpu.h"
#include "vmm/loader/loader.h"
#include "vmm/loader/source.h"
#include "vmm/manage/console.h"
#include "vmm/manage/guest_memory.h"
#include "vmm/manage/host_config.h"
#include "vmm/manage/seed.h"
#include "vmm/manage/vm_board.h"

#define RESTART_PAUSE_MS 100 // a guest that crashes at once must not eat the machine

struct managed {
    struct vm vm; // first
    struct vm_board board;
    struct guest_memory *memory;
    uint16_t pcpus[CPU_MAX];
    _Atomic bool stopped; // posted by the VM's last vCPU
};

static struct {
    const struct config *config;
    struct managed *vms[CONFIG_VM_MAX];
    unsigned count;
    struct boot_range initrd;
    struct wait_queue wake;
    unsigned next_cpu; // where the next vCPU without pcpus goes
} manager;

struct vm *manager_vm(unsigned i)
{
    return i < manager.count ? &manager.vms[i]->vm : NULL;
}

// ---- interrupts of loaded guests ---------------------------------------------------------------------------------

static enum irq_result guest_timer_irq(unsigned irq, void *ctx)
{
    const struct vcpu_timer_irq *t = ctx;
    struct vcpu *v = vcpu_loaded();

    if (!v || !v->vm->irqchip) {
        return IRQ_HANDLED;
    }
    thread_wake(v->thread);
    bool forwarded = v->vm->irqchip->ops->forward(v->vm->irqchip, v->index, t->guest_line, irq);
    return forwarded ? IRQ_FORWARDED : IRQ_HANDLED;
}

static enum irq_result maintenance_irq(unsigned irq, void *ctx)
{
    struct vcpu *v = vcpu_loaded();

    (void)irq;
    (void)ctx;
    if (v && v->vm->irqchip) {
        v->vm->irqchip->ops->maintenance(v->vm->irqchip, v->index);
    }
    return IRQ_HANDLED;
}

static void register_guest_irqs(void)
{
    const struct vcpu_timer_irq *irqs;
    unsigned count = arch_vcpu_timer_irqs(&irqs);
    enum status s = OK;

    for (unsigned i = 0; i < count && s == OK; i++) {
        s = irq_register(irqs[i].host_irq, IRQ_LEVEL, guest_timer_irq, (void *)(uintptr_t)&irqs[i]);
    }
    if (s == OK && gic_virt()) {
        s = irq_register(gic_virt()->maintenance_irq, IRQ_LEVEL, maintenance_irq, NULL);
    }
    if (s != OK) {
        panic("guest interrupts: %s", status_name(s));
    }
}

void manager_init_cpu(void)
{
    const struct vcpu_timer_irq *irqs;
    unsigned count = arch_vcpu_timer_irqs(&irqs);

    if (this_cpu()->index == 0) {
        register_guest_irqs();
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        irq_enable_percpu(irqs[i].host_irq);
    }
    if (gic_virt()) {
        irq_enable_percpu(gic_virt()->maintenance_irq);
    }
}

// ---- one VM ------------------------------------------------------------------------------------------------------

static void vm_stopped(struct vm *vm)
{
    ((struct managed *)vm)->stopped = true;
    wait_wake_all(&manager.wake);
}

static const struct vm_manager_ops manager_ops = {.stopped = vm_stopped};

static enum status open_image(struct image_source *out, const struct vm_config *c, const char *name)
{
    const struct embed_entry *e;

    if (!name[0]) {
        *out = (struct image_source){0};
        return OK;
    }
    if (c->boot.source == BOOT_FAT) {
        return source_from_fat(out, name);
    }
    e = embed_find(name);
    if (!e) {
        return E_NOENT;
    }
    source_from_memory(out, name, e->start, e->size);
    return OK;
}

// Loads all images afresh and says where to start.
static enum status load_images(struct vm *vm, struct vcpu_entry *entry)
{
    const struct vm_config *c = vm->config;
    uint8_t seed[VM_FDT_SEED_SIZE];
    struct loader_source src = {.arch = LODGE_ARCH, .seed = seed};
    const char *names[] = {c->boot.kernel, c->boot.initrd, c->boot.dtb};
    struct image_source *images[] = {&src.kernel, &src.initrd, &src.dtb};

    seed_make(seed, sizeof(seed));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        enum status s = open_image(images[i], c, names[i]);

        if (s != OK) {
            log_err("[%s] refused: %s: %s", vm_name(vm), names[i], status_name(s));
            return s;
        }
    }
    return vm_load(vm, &src, entry);
}

static void choose_cpus(struct managed *m, const struct vm_config *c)
{
    for (unsigned i = 0; i < c->cpus; i++) {
        unsigned pick = manager.next_cpu;

        if (c->sched.pcpu_count) {
            pick = c->sched.pcpus[i % c->sched.pcpu_count];
        } else {
            manager.next_cpu = (manager.next_cpu + 1) % cpu_online_count();
        }
        m->pcpus[i] = (uint16_t)pick;
    }
}

// A GICv3 needs one in the host, whose CPU registers the guest uses; a GICv2 runs everywhere. What the guest does not have
// leaves the plan.
static enum status resolve_irqchip(struct vm *vm)
{
    struct plan_gic *gic = &vm->plan.gic;
    bool host_v3 = gic_virt() && gic_virt()->version == 3;

    if (gic->version == 0) {
        gic->version = host_v3 ? 3 : 2;
    }
    if (gic->version == 3 && !host_v3) {
        log_err("[%s] refused: %s, whose registers this machine does not have (under QEMU: -M virt,gic-version=3)",
                vm_name(vm),
                vm->config->gic == GIC_V3 ? "gic = \"v3\" asks for a GICv3" : "more than 8 CPUs need a GICv3");
        return E_UNSUPPORTED;
    }
    if (gic->version == 2) {
        gic->gicd_size = min_u64(gic->gicd_size, KIB(4));
        gic->gicr_size = 0;
    } else {
        gic->gicc_size = 0;
    }
    return OK;
}

static enum status vm_build_plan(struct vm *vm, const struct vm_config *c)
{
    struct config_errors *errors = pool_alloc(sizeof(*errors));
    enum status s = E_NOMEM;

    if (errors) {
        vm->config = c;
        s = plan_build(&vm->plan, c, LODGE_ARCH, errors);
        pool_free(errors, sizeof(*errors));
    }
    return s == OK ? resolve_irqchip(vm) : s;
}

static void vm_destroy(struct managed *m)
{
    vm_board_destroy(&m->vm, &m->board);
    if (m->board.console) {
        m->board.console->ops->destroy(m->board.console);
    }
    if (m->memory) {
        guest_memory_destroy(m->memory);
    }
    vm_core_destroy(&m->vm);
    pool_free(m, sizeof(*m));
}

static enum status vm_fill(struct managed *m, struct vcpu_entry *entry)
{
    struct vm *vm = &m->vm;
    enum status s = guest_memory_create(vm, &m->memory);

    if (s != OK) {
        log_err("[%s] refused: %llu MiB of memory: %s", vm_name(vm), (unsigned long long)(vm->config->memory >> 20),
                status_name(s));
        return s;
    }
    m->board.console = console_port(vm_name(vm));
    s = m->board.console ? vm_board_create(vm, &m->board) : E_NOMEM;
    return s == OK ? load_images(vm, entry) : s;
}

static void vm_create(const struct vm_config *c)
{
    struct managed *m = pool_alloc(sizeof(*m));
    struct vcpu_entry entry;

    if (!m) {
        log_err("[%s] refused: out of memory", c->name);
        return;
    }
    m->vm.id = manager.count + 1;
    m->vm.manager = &manager_ops;
    choose_cpus(m, c);
    if (vm_build_plan(&m->vm, c) != OK || vm_core_create(&m->vm, m->pcpus) != OK) {
        pool_free(m, sizeof(*m));
        return;
    }
    if (vm_fill(m, &entry) != OK) {
        vm_destroy(m);
        return;
    }
    manager.vms[manager.count++] = m;
    log_info("[%s] starts: %u vCPU on CPU %u, %llu MiB", c->name, c->cpus, m->pcpus[0],
             (unsigned long long)(c->memory >> 20));
    vm_start(&m->vm, &entry);
}

// Fresh memory, fresh images, devices at power-on.
static void vm_restart(struct managed *m)
{
    struct vcpu_entry entry;

    vm_board_reset(&m->vm);
    guest_memory_scrub(m->memory);
    arch_tlb_flush_guest(m->vm.vmid, gpa(0), 0);
    arch_icache_invalidate_all();
    m->vm.time_offset = arch_time_now();
    if (load_images(&m->vm, &entry) != OK) {
        m->vm.state = VM_CRASHED;
        return;
    }
    m->vm.restarts++;
    log_info("[%s] starts again (%u)", vm_name(&m->vm), m->vm.restarts);
    vm_start(&m->vm, &entry);
}

static void vm_crashed(struct managed *m)
{
    switch (m->vm.config->on_crash) {
    case CRASH_RESTART:
        thread_sleep(time_from_ms(RESTART_PAUSE_MS));
        vm_restart(m);
        return;
    case CRASH_REBOOT_HOST:
        log_err("[%s] crashed: resetting the machine, as on_crash says", vm_name(&m->vm));
        console_flush();
        arch_reset();
        break;
    case CRASH_STOP:
        break;
    }
    vm_board_reset(&m->vm);
    m->vm.state = VM_CRASHED;
}

static void vm_handle_stop(struct managed *m)
{
    switch (m->vm.stop_reason) {
    case VM_STOP_RESET:
        log_info("[%s] resets itself", vm_name(&m->vm));
        vm_restart(m);
        return;
    case VM_STOP_FAULT:
        vm_crashed(m);
        return;
    case VM_STOP_NONE:
    case VM_STOP_POWEROFF:
    case VM_STOP_FORCED:
        break;
    }
    log_info("[%s] is off", vm_name(&m->vm));
    vm_board_reset(&m->vm);
    m->vm.state = VM_STOPPED;
}

// ---- the worker --------------------------------------------------------------------------------------------------

static bool something_stopped(void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < manager.count; i++) {
        if (manager.vms[i]->stopped) {
            return true;
        }
    }
    return false;
}

static bool all_stopped(void)
{
    for (unsigned i = 0; i < manager.count; i++) {
        enum vm_state s = manager.vms[i]->vm.state;

        if (s != VM_STOPPED && s != VM_CRASHED) {
            return false;
        }
    }
    return true;
}

static void mount_disk(void)
{
    if (manager.initrd.size &&
        block_ram_create("initrd", arch_phys_to_virt(manager.initrd.base), manager.initrd.size, false) != OK) {
        log_warn("the initrd cannot be used as a disk");
    }
    if (fs_init() != OK && block_count()) {
        log_warn("no usable FAT volume on %u disk(s)", block_count());
    }
}

static void start_all(void)
{
    for (unsigned i = 0; i < manager.config->vm_count; i++) {
        const struct vm_config *c = &manager.config->vms[i];

        if (c->refused) {
            log_err("[%s] refused: see the mistakes in %s above", c->name, c->where.file);
        } else if (c->autostart) {
            vm_create(c);
        }
    }
    if (manager.count == 0) {
        log_err("no guest could be started");
    }
}

static void manager_main(void *arg)
{
    (void)arg;
    mount_disk();
    manager.config = host_config_read();
    if (!manager.config) {
        log_err("there is no configuration: nothing to run");
        thread_exit();
    }
    log_set_level(manager.config->host.log);
    if (console_start(&manager.config->host) != OK) {
        log_err("the console cannot be shared: out of memory");
    }
    start_all();
    for (;;) {
        wait_event(&manager.wake, something_stopped, NULL);
        for (unsigned i = 0; i < manager.count; i++) {
            struct managed *m = manager.vms[i];

            if (atomic_exchange(&m->stopped, false)) {
                vm_handle_stop(m);
            }
        }
        if (all_stopped() && manager.config->host.on_last_stop == LAST_STOP_POWEROFF) {
            log_info("the last guest has stopped");
            console_poweroff();
        }
    }
}

enum status manager_start(const struct boot_info *bi)
{
    struct thread *t;

    manager.initrd = bi->initrd;
    wait_queue_init(&manager.wake);
    t = thread_create(&(struct thread_attr){.name = "manager", .entry = manager_main, .prio = PRIO_WORKER});
    if (!t) {
        return E_NOMEM;
    }
    thread_start(t);
    return OK;
}
