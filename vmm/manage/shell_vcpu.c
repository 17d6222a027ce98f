// SPDX-License-Identifier: Apache-2.0
//
// Commands about vCPUs: `vcpu list|regs|pin`, `exits`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"
#include "vmm/manage/shell_console.h"

#define ANSWER_MS 1000
#define REGS_LINES 24
#define TRACE_MAX 16

static bool name_candidate(unsigned arg, unsigned i, char *buf, size_t size)
{
    return arg == 0 && shell_vm_candidate(i, buf, size);
}

static bool chosen(const struct shell_args *args, const struct vm *vm)
{
    return args->argc == 0 || strcmp(args->argv[0], vm_name(vm)) == 0;
}

// ---- list ------------------------------------------------------------------------------------------------------------

static uint64_t exit_count(const struct vcpu *v)
{
    uint64_t n = v->arch.done;

    for (unsigned i = 0; i < VCPU_EXIT_COUNT; i++) {
        n += v->exits[i].count;
    }
    return n;
}

// "0-3,5": the CPUs there are that it may run on.
static void format_cpus(const struct thread *t, char *buf, size_t size)
{
    size_t len = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < cpu_count(); i++) {
        unsigned last = i;

        if (!cpumask_test(&t->allowed, i)) {
            continue;
        }
        while (last + 1 < cpu_count() && cpumask_test(&t->allowed, last + 1)) {
            last++;
        }
        snprintf(buf + len, size - len, last > i ? "%s%u-%u" : "%s%u", len > 0 ? "," : "", i, last);
        len = strlen(buf);
        i = last;
    }
}

static void list_vcpus(struct shell *sh, const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct vcpu *v = vm->vcpus[i];
        char cpus[32];

        format_cpus(v->thread, cpus, sizeof(cpus));
        shell_row(sh);
        shell_text(sh, "vm", 16, vm_name(vm));
        shell_num(sh, "vcpu", 4, i);
        shell_text(sh, "state", 8, vcpu_state_name(v->state));
        shell_num(sh, "cpu", 3, v->thread->cpu);
        shell_text(sh, "allowed", 7, cpus);
        shell_num(sh, "priority", 8, vm->config->sched.priority);
        shell_num(sh, "run_ms", 9, time_to_us(thread_run_ticks(v->thread)) / 1000);
        shell_num(sh, "exits", 12, exit_count(v));
        shell_row_end(sh);
    }
}

static enum status run_list(struct shell *sh, const struct shell_args *args)
{
    struct managed *m;
    bool any = args->argc == 0;

    vm_table_hold();
    for (unsigned i = 0; (m = vm_table_get(i)); i++) {
        if (chosen(args, &m->vm)) {
            list_vcpus(sh, &m->vm);
            any = true;
        }
    }
    vm_table_release();
    return any ? OK : E_NOENT;
}

// The vCPU that "VM INDEX" means, with the table held.
static enum status find_vcpu(const struct shell_args *args, struct vcpu **out)
{
    struct managed *m;
    uint64_t index;
    enum status s = shell_find_vm(args->argv[0], &m);

    if (s != OK) {
        return s;
    }
    if (!shell_number(args->argv[1], m->vm.vcpu_count - 1, &index)) {
        vm_table_release();
        return E_RANGE;
    }
    *out = m->vm.vcpus[index];
    return OK;
}

// ---- regs ------------------------------------------------------------------------------------------------------------

struct regs_report {
    unsigned count;
    char line[REGS_LINES][120];
    unsigned frames;
    uint64_t trace[TRACE_MAX];
};

static void regs_line(void *ctx, const char *text)
{
    struct regs_report *r = ctx;

    if (r->count < REGS_LINES) {
        snprintf(r->line[r->count++], sizeof(r->line[0]), "%s", text);
    }
}

// On the vCPU's thread.
static void regs_gather(struct vcpu *v, void *ctx)
{
    struct regs_report *r = ctx;

    arch_vcpu_dump(&v->arch, regs_line, r);
    r->frames = vcpu_backtrace(v, r->trace, TRACE_MAX);
}

static void regs_print(struct shell *sh, const struct regs_report *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (sh->json) {
            shell_row(sh);
            shell_text(sh, "registers", 0, r->line[i]);
            shell_row_end(sh);
        } else {
            shell_printf(sh, "%s\n", r->line[i]);
        }
    }
    shell_listing(sh);
    for (unsigned i = 0; i < r->frames; i++) {
        shell_row(sh);
        shell_num(sh, "frame", 5, i + 1);
        shell_hex(sh, "return", 18, r->trace[i]);
        shell_row_end(sh);
    }
}

static enum status run_regs(struct shell *sh, const struct shell_args *args)
{
    struct regs_report *r = pool_alloc(sizeof(*r));
    struct vcpu *v;
    enum status s = r ? find_vcpu(args, &v) : E_NOMEM;

    if (s == OK) {
        s = vcpu_call(v, regs_gather, r, time_from_ms(ANSWER_MS));
        vm_table_release();
    }
    if (s == OK) {
        regs_print(sh, r);
    }
    pool_free(r, sizeof(*r));
    return s;
}

// ---- pin -------------------------------------------------------------------------------------------------------------

// The number at *text, which moves behind it.
static bool take_cpu(const char **text, unsigned long *out)
{
    char *end;

    if (**text < '0' || **text > '9') {
        return false;
    }
    *out = strtoul(*text, &end, 10);
    *text = end;
    return true;
}

// "2", "0-3", or several of them with commas.
static enum status parse_cpus(const char *text, struct cpumask *out)
{
    *out = (struct cpumask){{0}};
    for (;; text++) {
        unsigned long first, last;

        if (!take_cpu(&text, &first)) {
            return E_INVAL;
        }
        last = first;
        if (*text == '-' && (text++, !take_cpu(&text, &last) || last < first)) {
            return E_INVAL;
        }
        if (last >= cpu_count()) {
            return E_RANGE;
        }
        for (; first <= last; first++) {
            cpumask_set(out, (unsigned)first);
        }
        if (*text != ',') {
            return *text == '\0' ? OK : E_INVAL;
        }
    }
}

static enum status run_pin(struct shell *sh, const struct shell_args *args)
{
    struct cpumask allowed;
    enum status s = parse_cpus(args->argv[2], &allowed);
    struct vcpu *v;

    (void)sh;
    if (s == OK) {
        s = find_vcpu(args, &v);
    }
    if (s == OK) {
        s = thread_set_allowed(v->thread, &allowed);
        vm_table_release();
    }
    return s;
}

// ---- exits -----------------------------------------------------------------------------------------------------------

static void exits_of(struct shell *sh, const struct vm *vm)
{
    for (unsigned kind = 0; kind < VCPU_EXIT_COUNT; kind++) {
        struct vcpu_exit_stats sum = {0};

        for (unsigned i = 0; i < vm->vcpu_count; i++) {
            const struct vcpu_exit_stats *s = &vm->vcpus[i]->exits[kind];

            sum.count += s->count + (kind == VCPU_EXIT_DONE ? vm->vcpus[i]->arch.done : 0);
            sum.timed += s->timed;
            sum.ticks += s->ticks;
            sum.max = max_u64(sum.max, s->max);
        }
        if (sum.count == 0) {
            continue;
        }
        shell_row(sh);
        shell_text(sh, "vm", 16, vm_name(vm));
        shell_text(sh, "reason", 12, vcpu_exit_name((enum vcpu_exit_kind)kind));
        shell_num(sh, "count", 12, sum.count);
        if (vcpu_exits_timed()) {
            shell_num(sh, "average_ticks", 13, sum.timed ? sum.ticks / sum.timed : 0);
            shell_num(sh, "max_ticks", 12, sum.max);
        }
        shell_row_end(sh);
    }
}

static void forget(struct vcpu *v, void *ctx)
{
    (void)ctx;
    memset(v->exits, 0, sizeof(v->exits));
    v->arch.done = 0;
}

static enum status reset_counts(const struct vm *vm)
{
    enum status s = OK;

    for (unsigned i = 0; i < vm->vcpu_count && s == OK; i++) {
        s = vcpu_call(vm->vcpus[i], forget, NULL, time_from_ms(ANSWER_MS));
    }
    return s;
}

static enum status run_exits(struct shell *sh, const struct shell_args *args)
{
    bool reset = args->argc > 0 && strcmp(args->argv[args->argc - 1], "reset") == 0;
    struct shell_args names = {.argc = args->argc - reset, .argv = {args->argv[0]}};
    bool any = names.argc == 0;
    enum status s = OK;
    struct managed *m;

    if (names.argc > 1) {
        return E_INVAL;
    }
    vm_table_hold();
    for (unsigned i = 0; (m = vm_table_get(i)) && s == OK; i++) {
        if (!chosen(&names, &m->vm)) {
            continue;
        }
        any = true;
        if (reset) {
            s = reset_counts(&m->vm);
        } else {
            exits_of(sh, &m->vm);
        }
    }
    vm_table_release();
    return any ? s : E_NOENT;
}

static enum status run_exits_time(struct shell *sh, const struct shell_args *args)
{
    (void)sh;
    if (strcmp(args->argv[0], "on") != 0 && strcmp(args->argv[0], "off") != 0) {
        return E_INVAL;
    }
    vcpu_time_exits(args->argv[0][1] == 'n');
    return OK;
}

static bool exits_candidate(unsigned arg, unsigned i, char *buf, size_t size)
{
    if (arg == 0 && shell_vm_candidate(i, buf, size)) {
        return true;
    }
    if (arg > 1 || i != (arg == 0 ? vm_table_count() : 0)) {
        return false;
    }
    snprintf(buf, size, "reset");
    return true;
}

static bool time_candidate(unsigned arg, unsigned i, char *buf, size_t size)
{
    snprintf(buf, size, "%s", i == 0 ? "on" : "off");
    return arg == 0 && i < 2;
}

static const struct shell_command list_command = {.words = "vcpu list",
                                                  .usage = "[VM]",
                                                  .help =
                                                      "vCPUs: where they run, how long, how often they left",
                                                  .max_args = 1,
                                                  .run = run_list,
                                                  .candidate = name_candidate};
static const struct shell_command regs_command = {.words = "vcpu regs",
                                                  .usage = "VM VCPU",
                                                  .help =
                                                      "registers and call chain, between two instructions",
                                                  .min_args = 2,
                                                  .max_args = 2,
                                                  .run = run_regs,
                                                  .candidate = name_candidate};
static const struct shell_command pin_command = {.words = "vcpu pin",
                                                 .usage = "VM VCPU CPUS",
                                                 .help = "from now on it runs only there: 1, or 0,2-3",
                                                 .min_args = 3,
                                                 .max_args = 3,
                                                 .run = run_pin,
                                                 .candidate = name_candidate};
static const struct shell_command exits_command = {.words = "exits",
                                                   .usage = "[VM] [reset]",
                                                   .help = "how often guests left, by reason",
                                                   .max_args = 2,
                                                   .run = run_exits,
                                                   .candidate = exits_candidate};
static const struct shell_command time_command = {.words = "exits time",
                                                  .usage = "on|off",
                                                  .help = "measure too: average and maximum ticks",
                                                  .min_args = 1,
                                                  .max_args = 1,
                                                  .run = run_exits_time,
                                                  .candidate = time_candidate};
SHELL_COMMAND(list_command);
SHELL_COMMAND(regs_command);
SHELL_COMMAND(pin_command);
SHELL_COMMAND(exits_command);
SHELL_COMMAND(time_command);
