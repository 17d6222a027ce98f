// SPDX-License-Identifier: Apache-2.0
//
// See manager.h. The worker sleeps until a command is posted, a VM has stopped, or a back-off is over.
#include "vmm/manage/manager.h"

#include "arch/boot.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/fs/fs.h"
#include "vmm/manage/console.h"
#include "vmm/manage/host_config.h"
#include "vmm/manage/shell_console.h"
#include "vmm/manage/vm_table.h"

static struct {
    const struct config *config;
    struct boot_range initrd;
    struct spinlock lock;      // protects `commands`
    struct list_node commands; // in the order they came
    struct completion work;
    bool some_stopped; // since on_last_stop was looked at
} manager;

// ---- one VM: what follows a stop -----------------------------------------------------------------------------------

static void vm_stopped(struct vm *vm)
{
    managed_of(vm)->stopped = true;
    completion_signal(&manager.work);
}

static size_t console_write(struct vm *vm, const void *buf, size_t len)
{
    struct char_backend *be = ((struct managed *)vm)->board.console;

    return be->ops->write(be, buf, len);
}

static size_t console_read(struct vm *vm, void *buf, size_t len)
{
    struct char_backend *be = ((struct managed *)vm)->board.console;

    return be->ops->read(be, buf, len);
}

static const struct vm_manager_ops manager_ops = {
    .stopped = vm_stopped,
    .console_write = console_write,
    .console_read = console_read,
};

static void start_after(struct managed *m, uint64_t ms)
{
    if (ms == 0) {
        (void)!vm_life_start(m); // it has said why
        return;
    }
    m->restart_at = arch_time_now() + time_from_ms(ms);
    m->vm.state = VM_WAITING;
}

static void restart_crashed(struct managed *m)
{
    unsigned limit = m->config.restart_limit;
    uint64_t delay;

    if (!restart_after_crash(&m->restart, limit, vm_life_ms(), &delay)) {
        log_err("[%s] crashed %u times in a row (restart_limit): it stays down", vm_name(&m->vm), limit + 1);
        m->vm.state = VM_CRASHED;
        return;
    }
    log_info("[%s] crashed (%u of %u in a row): next start in %llu ms", vm_name(&m->vm), m->restart.crashes,
             limit, (unsigned long long)delay);
    start_after(m, delay);
}

static void crashed(struct managed *m)
{
    switch (m->config.on_crash) {
    case CRASH_RESTART:
        restart_crashed(m);
        return;
    case CRASH_REBOOT_HOST:
        log_err("[%s] crashed: resetting the machine, as on_crash says", vm_name(&m->vm));
        console_flush();
        arch_reset();
        break;
    case CRASH_STOP:
        break;
    }
    m->vm.state = VM_CRASHED;
}

// All vCPUs of a stopping VM have left.
static void stop_over(struct managed *m)
{
    m->stopped = false;
    manager.some_stopped = true;
    vm_board_reset(&m->vm);
    switch ((enum vm_stop_reason)m->vm.stop_reason) {
    case VM_STOP_RESET:
        log_info("[%s] resets itself", vm_name(&m->vm));
        start_after(m, restart_after_reset(&m->restart, vm_life_ms()));
        return;
    case VM_STOP_FAULT:
        crashed(m);
        return;
    case VM_STOP_NONE:
    case VM_STOP_POWEROFF:
    case VM_STOP_FORCED:
        break;
    }
    log_info("[%s] is off", vm_name(&m->vm));
    m->vm.state = VM_STOPPED;
}

// ---- operations ----------------------------------------------------------------------------------------------------

// Brings a VM whose vCPUs may run to where none does, in state STOPPED; others stay as they are.
static enum status force_stop(struct managed *m)
{
    enum status s;

    vm_request_stop(&m->vm, VM_STOP_FORCED);
    if (m->vm.state != VM_STOPPING) {
        return OK;
    }
    m->vm.stop_reason = VM_STOP_FORCED; // whatever it wanted itself: the operator's word counts
    s = vm_wait_stopped(&m->vm, time_from_ms(MANAGER_PATIENCE_MS));
    if (s == OK) {
        m->stopped = false;
        m->vm.state = VM_STOPPED;
    }
    return s;
}

static enum status op_start(struct managed *m)
{
    m->restart.crashes = 0;
    return vm_life_start(m);
}

static enum status op_pause(struct managed *m)
{
    return vm_pause(&m->vm, time_from_ms(MANAGER_PATIENCE_MS));
}

static enum status op_resume(struct managed *m)
{
    vm_resume(&m->vm);
    return OK;
}

static enum status op_stop(struct managed *m)
{
    enum status s;

    if (m->vm.state == VM_WAITING) {
        log_info("[%s] will not start again", vm_name(&m->vm));
        m->vm.state = VM_STOPPED;
        return OK;
    }
    s = force_stop(m);
    if (s == OK) {
        stop_over(m);
    }
    return s;
}

static enum status op_reset(struct managed *m)
{
    enum status s = force_stop(m);

    return s == OK ? op_start(m) : s;
}

static enum status op_destroy(struct managed *m)
{
    enum status s = force_stop(m);

    if (s == OK) {
        log_info("[%s] is gone", vm_name(&m->vm));
        manager.some_stopped = true;
        vm_table_remove(m);
        vm_life_destroy(m);
    }
    return s;
}

static enum status (*const ops[VM_OP_COUNT])(struct managed *m) = {
    [VM_OP_START] = op_start, [VM_OP_PAUSE] = op_pause, [VM_OP_RESUME] = op_resume,
    [VM_OP_STOP] = op_stop,   [VM_OP_RESET] = op_reset, [VM_OP_DESTROY] = op_destroy,
};

static enum status operate(const char *name, enum vm_op op)
{
    struct managed *m = vm_table_find(name);

    if (!m) {
        return E_NOENT;
    }
    switch (vm_transition(m->vm.state, op)) {
    case VM_DO:
        return ops[op](m);
    case VM_NOTHING:
        return OK;
    case VM_LATER:
        return E_BUSY;
    case VM_REFUSE:
        break;
    }
    return E_STATE;
}

static enum status create(const struct vm_config *c, struct managed **out)
{
    enum status s = vm_life_create(c, vm_table_next_id(), &manager_ops, out);

    if (s == OK) {
        s = vm_table_add(*out);
        if (s != OK) {
            log_err("[%s] refused: %s", c->name, s == E_EXISTS ? "the name is taken" : "too many VMs");
            vm_life_destroy(*out);
        }
    }
    return s;
}

// All or none; a VM that cannot be started though it was created stays, as at boot.
static enum status create_all(const struct config *config)
{
    struct managed *made[CONFIG_VM_MAX];
    unsigned count = 0;
    enum status s = config->vm_count ? OK : E_CONFIG;

    while (s == OK && count < config->vm_count) {
        s = create(&config->vms[count], &made[count]);
        count += s == OK;
    }
    for (unsigned i = 0; i < count; i++) {
        if (s != OK) {
            vm_table_remove(made[i]);
            vm_life_destroy(made[i]);
        } else if (config->vms[i].autostart) {
            (void)!vm_life_start(made[i]);
        }
    }
    return s;
}

static enum status create_from(const struct manager_command *c)
{
    const struct vm_config *living[CONFIG_VM_MAX];
    unsigned count = vm_table_count();
    struct config *config;
    enum status s;

    for (unsigned i = 0; i < count; i++) {
        living[i] = &vm_table_get(i)->config;
    }
    s = c->kind == MANAGER_CREATE_FILE ? host_config_file(c->path, living, count, &config)
                                       : host_config_text(c->path, c->text, c->len, living, count, &config);
    if (s == OK) {
        s = create_all(config);
        host_config_free(config);
    }
    return s;
}

// ---- the worker ----------------------------------------------------------------------------------------------------

void manager_post(struct manager_command *c)
{
    irq_state_t irq;

    completion_init(&c->done);
    irq = spin_lock_irqsave(&manager.lock);
    list_push_back(&manager.commands, &c->node);
    spin_unlock_irqrestore(&manager.lock, irq);
    completion_signal(&manager.work);
}

enum status manager_run(struct manager_command *c)
{
    manager_post(c);
    completion_wait(&c->done);
    return c->result;
}

enum status manager_vm_op(const char *vm, enum vm_op op)
{
    struct manager_command c = {.kind = MANAGER_OP, .vm = vm, .op = op};

    return manager_run(&c);
}

static void serve_commands(void)
{
    for (;;) {
        irq_state_t irq = spin_lock_irqsave(&manager.lock);
        struct list_node *node = list_pop_front(&manager.commands);

        spin_unlock_irqrestore(&manager.lock, irq);
        if (!node) {
            return;
        }
        struct manager_command *c = list_entry(node, struct manager_command, node);

        c->result = c->kind == MANAGER_OP ? operate(c->vm, c->op) : create_from(c);
        completion_signal(&c->done);
    }
}

// What happened to the VMs themselves. Returns when the next back-off is over, UINT64_MAX: none.
static uint64_t look_after_vms(void)
{
    uint64_t next = UINT64_MAX;
    struct managed *m;

    for (unsigned i = 0; (m = vm_table_get(i)); i++) {
        // A flag of a former life means nothing: the state does.
        if (m->stopped && m->vm.state == VM_STOPPING && m->vm.running_vcpus == 0) {
            stop_over(m);
        }
        if (m->vm.state == VM_WAITING && arch_time_now() >= m->restart_at) {
            (void)!vm_life_start(m);
        }
        if (m->vm.state == VM_WAITING) {
            next = min_u64(next, m->restart_at);
        }
    }
    return next;
}

static bool all_off(void)
{
    struct managed *m;

    for (unsigned i = 0; (m = vm_table_get(i)); i++) {
        enum vm_state s = m->vm.state;

        if (s != VM_STOPPED && s != VM_CRASHED && s != VM_CREATED) {
            return false;
        }
    }
    return true;
}

static void look_at_last_stop(void)
{
    if (manager.some_stopped && all_off() && manager.config->host.on_last_stop == LAST_STOP_POWEROFF) {
        log_info("the last guest has stopped");
        console_poweroff();
    }
    manager.some_stopped = false;
}

[[gnu::noreturn]] static void serve(void)
{
    for (;;) {
        uint64_t next, now;

        completion_reset(&manager.work);
        serve_commands();
        next = look_after_vms();
        if (manager.config) {
            look_at_last_stop();
        }
        now = arch_time_now();
        if (next == UINT64_MAX) {
            completion_wait(&manager.work);
        } else if (next > now) {
            (void)completion_wait_timeout(&manager.work, next - now);
        }
    }
}

// ---- boot ----------------------------------------------------------------------------------------------------------

static void mount_disk(void)
{
    if (manager.initrd.size && block_ram_create("initrd", arch_phys_to_virt(manager.initrd.base),
                                                manager.initrd.size, false) != OK) {
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
        struct managed *m;

        if (c->refused) {
            log_err("[%s] refused: see the mistakes in %s above", c->name, c->where.file);
        } else if (create(c, &m) == OK && c->autostart) {
            (void)!vm_life_start(m);
        }
    }
    if (vm_table_count() == 0) {
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
    } else if (shell_console_start() != OK) {
        log_err("no shell: out of memory");
    }
    start_all();
    serve();
}

static void bare_main(void *arg)
{
    (void)arg;
    serve();
}

static enum status start_worker(void (*entry)(void *arg))
{
    struct thread *t =
        thread_create(&(struct thread_attr){.name = "manager", .entry = entry, .prio = PRIO_WORKER});

    if (!t) {
        return E_NOMEM;
    }
    vm_table_init();
    spin_init(&manager.lock, LOCK_VM_TABLE);
    list_init(&manager.commands);
    completion_init(&manager.work);
    manager.config = NULL;
    thread_start(t);
    return OK;
}

enum status manager_start(const struct boot_info *bi)
{
    manager.initrd = bi->initrd;
    return start_worker(manager_main);
}

enum status manager_start_bare(void)
{
    return start_worker(bare_main);
}
