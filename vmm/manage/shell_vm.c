// SPDX-License-Identifier: Apache-2.0
//
// Commands about VMs as wholes: `vm list|info|mem`, the life-cycle operations, `vm create`, `vm console`.
#include <stdio.h>
#include <string.h>

#include "arch/time.h"
#include "vmm/backend/char_mux.h"
#include "vmm/core/vcpu.h"
#include "vmm/manage/manager.h"
#include "vmm/manage/shell_console.h"

#define MIB_OF(bytes) ((bytes) >> 20)

static bool name_candidate(unsigned arg, unsigned i, char *buf, size_t size)
{
    return arg == 0 && shell_vm_candidate(i, buf, size);
}

// ---- listings --------------------------------------------------------------------------------------------------------

static uint64_t cpu_ms(const struct vm *vm)
{
    uint64_t ticks = 0;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        ticks += thread_run_ticks(vm->vcpus[i]->thread);
    }
    return time_to_us(ticks) / 1000;
}

static uint64_t up_ms(const struct managed *m)
{
    enum vm_state s = m->vm.state;
    bool up = s == VM_RUNNING || s == VM_PAUSED || s == VM_STOPPING;

    return up ? time_to_us(arch_time_now() - m->started_at) / 1000 : 0;
}

static enum status run_list(struct shell *sh, const struct shell_args *args)
{
    struct managed *m;

    (void)args;
    vm_table_hold();
    for (unsigned i = 0; (m = vm_table_get(i)); i++) {
        shell_row(sh);
        shell_num(sh, "id", 3, m->vm.id);
        shell_text(sh, "name", 16, vm_name(&m->vm));
        shell_text(sh, "state", 8, vm_state_name(m->vm.state));
        shell_num(sh, "vcpus", 5, m->vm.vcpu_count);
        shell_num(sh, "mib", 6, MIB_OF(m->config.memory));
        shell_num(sh, "cpu_ms", 9, cpu_ms(&m->vm));
        shell_num(sh, "up_ms", 9, up_ms(m));
        shell_num(sh, "restarts", 8, m->vm.restarts);
        shell_row_end(sh);
    }
    vm_table_release();
    return OK;
}

static void info_devices(struct shell *sh, const struct vm *vm)
{
    shell_listing(sh);
    for (unsigned i = 0; i < vm->plan.device_count; i++) {
        const struct plan_device *d = &vm->plan.devices[i];
        int c = d->config_index;

        shell_row(sh);
        shell_text(sh, "device", 10, d->name);
        shell_text(sh, "model", 15, vdev_model_name(d->model));
        shell_hex(sh, "base", 12, d->base);
        shell_hex(sh, "size", 8, d->size);
        shell_num(sh, "irq", 4, d->irq);
        shell_text(sh, "backend", 0, c >= 0 ? vm->config->devices[c].backend : "");
        shell_row_end(sh);
    }
}

static enum status run_info(struct shell *sh, const struct shell_args *args)
{
    static const char *const on_crash[] = {"stop", "restart", "reboot-host"};
    struct managed *m;
    enum status s = shell_find_vm(args->argv[0], &m);
    char where[64];

    if (s != OK) {
        return s;
    }
    snprintf(where, sizeof(where), "%s:%u", m->config.where.file, (unsigned)m->config.where.line);
    shell_row(sh);
    shell_text(sh, "name", 12, vm_name(&m->vm));
    shell_text(sh, "state", 8, vm_state_name(m->vm.state));
    shell_num(sh, "up_ms", 9, up_ms(m));
    shell_num(sh, "gic", 3, m->vm.plan.gic.version);
    shell_num(sh, "priority", 3, m->config.sched.priority);
    shell_text(sh, "on_crash", 11, on_crash[m->config.on_crash]);
    shell_num(sh, "crashes", 3, m->restart.crashes);
    shell_text(sh, "described", 20, where);
    shell_row_end(sh);
    if (m->vm.fault[0]) {
        shell_listing(sh);
        shell_row(sh);
        shell_text(sh, "fault", 0, m->vm.fault);
        shell_row_end(sh);
    }
    shell_listing(sh);
    shell_row(sh);
    shell_text(sh, "kernel", 16, m->config.boot.kernel);
    shell_text(sh, "initrd", 8, m->config.boot.initrd);
    shell_hex(sh, "entry", 12, m->entry.pc);
    shell_row_end(sh);
    info_devices(sh, &m->vm);
    vm_table_release();
    return OK;
}

static enum status run_mem(struct shell *sh, const struct shell_args *args)
{
    static const char *const kinds[] = {"ram", "rom", "firmware", "shared", "device"};
    struct managed *m;
    enum status s = shell_find_vm(args->argv[0], &m);

    if (s != OK) {
        return s;
    }
    for (unsigned i = 0; i < gmem_region_count(&m->vm.gmem); i++) {
        const struct gmem_region *r = gmem_region(&m->vm.gmem, i);

        for (uint32_t n = 0; n < r->extent_count; n++) {
            shell_row(sh);
            shell_text(sh, "kind", 8, kinds[r->kind]);
            shell_hex(sh, "guest", 12, r->base.v + r->extents[n].offset);
            shell_hex(sh, "host", 12, r->extents[n].hpa.v);
            shell_num(sh, "kib", 10, r->extents[n].size >> 10);
            shell_row_end(sh);
        }
    }
    shell_listing(sh);
    shell_row(sh);
    shell_num(sh, "table_pages", 6, m->vm.stage2.table_pages);
    shell_num(sh, "vmid", 4, m->vm.vmid);
    shell_row_end(sh);
    vm_table_release();
    return OK;
}

// ---- life cycle ------------------------------------------------------------------------------------------------------

static enum status run_op(struct shell *sh, const struct shell_args *args, enum vm_op op)
{
    enum status s = manager_vm_op(args->argv[0], op);
    char text[160];

    if (s == E_STATE || s == E_CONFIG) {
        vm_table_describe(args->argv[0], text, sizeof(text));
        shell_printf(sh, "%s: %s\n", args->argv[0], text);
    }
    return s;
}

static enum status run_start(struct shell *sh, const struct shell_args *args)
{
    return run_op(sh, args, VM_OP_START);
}

static enum status run_stop(struct shell *sh, const struct shell_args *args)
{
    return run_op(sh, args, VM_OP_STOP);
}

static enum status run_pause(struct shell *sh, const struct shell_args *args)
{
    return run_op(sh, args, VM_OP_PAUSE);
}

static enum status run_resume(struct shell *sh, const struct shell_args *args)
{
    return run_op(sh, args, VM_OP_RESUME);
}

static enum status run_reset(struct shell *sh, const struct shell_args *args)
{
    return run_op(sh, args, VM_OP_RESET);
}

static enum status run_destroy(struct shell *sh, const struct shell_args *args)
{
    return run_op(sh, args, VM_OP_DESTROY);
}

static enum status run_create(struct shell *sh, const struct shell_args *args)
{
    struct manager_command c = {.kind = MANAGER_CREATE_FILE, .path = args->argv[0]};
    char path[LINE_SIZE + 2];

    (void)sh;
    if (args->argv[0][0] != '/') {
        snprintf(path, sizeof(path), "/%s", args->argv[0]);
        c.path = path;
    }
    return manager_run(&c);
}

static enum status run_console(struct shell *sh, const struct shell_args *args)
{
    (void)sh;
    return char_mux_select(args->argv[0]);
}

#define NAME_COMMAND(ident, verb, text)                                                \
    static const struct shell_command ident##_command = {.words = "vm " verb,          \
                                                         .usage = "NAME",              \
                                                         .help = text,                 \
                                                         .min_args = 1,                \
                                                         .max_args = 1,                \
                                                         .run = run_##ident,           \
                                                         .candidate = name_candidate}; \
    SHELL_COMMAND(ident##_command)

static const struct shell_command list_command = {.words = "vm list",
                                                  .usage = "",
                                                  .help = "all VMs",
                                                  .run = run_list};
SHELL_COMMAND(list_command);
NAME_COMMAND(info, "info", "one VM: state, images, devices");
NAME_COMMAND(mem, "mem", "where its memory lies");
NAME_COMMAND(start, "start", "run it; one that has stopped starts afresh");
NAME_COMMAND(stop, "stop", "turn it off");
NAME_COMMAND(pause, "pause", "hold its vCPUs; time goes on");
NAME_COMMAND(resume, "resume", "let them go on");
NAME_COMMAND(reset, "reset", "memory cleared, images loaded afresh, started");
NAME_COMMAND(destroy, "destroy", "turn it off and free all it has");
NAME_COMMAND(console, "console", "give it the input");
static const struct shell_command create_command = {.words = "vm create",
                                                    .usage = "FILE",
                                                    .help =
                                                        "the VMs of a TOML file of the FAT disk: all or none",
                                                    .min_args = 1,
                                                    .max_args = 1,
                                                    .run = run_create};
SHELL_COMMAND(create_command);
