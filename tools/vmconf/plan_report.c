// SPDX-License-Identifier: Apache-2.0
//
// vmconf plan: the isolation report. For each VM what it can touch: memory, registers, interrupts, disks, cores; then
// everything that two VMs have in common. The facts are those of plan_build(), which the image uses too.
#include "tools/vmconf/vmconf.h"

#include "vmm/config/arch/board.h"
#include "vmm/config/plan.h"

#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

static const char *kind_name(enum region_kind kind)
{
    return kind == REGION_RAM ? "ram" : kind == REGION_ROM ? "rom" : "shared";
}

static const char *backend_of(const struct vm_config *vm, const struct plan_device *d)
{
    if (d->config_index >= 0 && vm->devices[d->config_index].backend[0]) {
        return vm->devices[d->config_index].backend;
    }
    return d->model == MODEL_UART || d->model == MODEL_VIRTIO_CONSOLE ? "console" : "";
}

static bool read_only(const struct vm_config *vm, const struct plan_device *d)
{
    return d->config_index >= 0 && vm->devices[d->config_index].read_only;
}

static const char *share_of(const struct vm_config *vm, const struct plan_region *r)
{
    return r->config_index >= 0 ? vm->regions[r->config_index].share : "";
}

// ---- text ----

static void print_area(const char *class, const char *name, uint64_t base, uint64_t size)
{
    char range[48];

    (void)snprintf(range, sizeof(range), "0x%llx-0x%llx", (ull)base, (ull)(base + size - 1));
    (void)printf("  %-9s %-8s %-27s", class, name, range);
}

static void print_size(uint64_t size)
{
    if (size >= MIB(1) && size % MIB(1) == 0) {
        (void)printf(" %6llu MiB", (ull)size >> 20);
    } else if (size >= KIB(1) && size % KIB(1) == 0) {
        (void)printf(" %6llu KiB", (ull)size >> 10);
    } else {
        (void)printf(" %6llu B  ", (ull)size);
    }
}

static void print_memory(const struct vm_config *vm, const struct vm_plan *plan)
{
    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];

        print_area("memory", kind_name(r->kind), r->base, r->size);
        print_size(r->size);
        if (r->kind == REGION_SHARED) {
            (void)printf("  read-write, shared by name '%s'\n", share_of(vm, r));
        } else {
            (void)printf("  %s, its own\n", r->kind == REGION_ROM ? "read-only" : "read-write");
        }
    }
}

static void print_controller(const struct vm_plan *plan)
{
    const struct plan_gic *gic = &plan->gic;
    const struct {
        const char *name;
        uint64_t base, size;
    } parts[] = {
        {"gicd", gic->gicd_base, gic->gicd_size},
        {"gicr", gic->gicr_base, gic->gicr_size},
        {"gicc", gic->gicc_base, gic->gicc_size},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        const char *only = gic->version ? "" : i == 1 ? " (as GICv3)" : i == 2 ? " (as GICv2)" : "";

        if (parts[i].size) {
            print_area("registers", parts[i].name, parts[i].base, parts[i].size);
            print_size(parts[i].size);
            (void)printf("  emulated%s\n", only);
        }
    }
    for (unsigned i = 0; i < plan->fixed_count; i++) {
        print_area("registers", plan->fixed[i].name, plan->fixed[i].base, plan->fixed[i].size);
        print_size(plan->fixed[i].size);
        (void)printf("  emulated\n");
    }
}

static void print_devices(const struct vm_config *vm, const struct vm_plan *plan, const struct board *board)
{
    for (unsigned i = 0; i < plan->device_count; i++) {
        const struct plan_device *d = &plan->devices[i];
        const char *backend = backend_of(vm, d);

        print_area(d->port ? "ports" : "registers", d->name, d->base, d->size);
        print_size(d->size);
        (void)printf("  emulated %s, %s %u", vdev_model_name(d->model), board->irq_word,
                     (unsigned)(d->irq - board->irq_first));
        (void)printf("%s%s%s\n", backend[0] ? ", on " : "", backend, read_only(vm, d) ? " (read-only)" : "");
    }
}

static void print_cores(const struct vm_config *vm)
{
    (void)printf("  %-9s ", "cores");
    for (unsigned i = 0; i < vm->sched.pcpu_count; i++) {
        (void)printf("%s%u", i ? ", " : "", vm->sched.pcpus[i]);
    }
    (void)printf("%s for %u vCPU%s, priority %u\n", vm->sched.pcpu_count ? "" : "any", vm->cpus,
                 vm->cpus == 1 ? "" : "s", vm->sched.priority);
}

static void print_vm(const struct vm_config *vm, const struct vm_plan *plan, const struct board *board)
{
    (void)printf("vm '%s' (%s:%u)\n", vm->name, vm->where.file, (unsigned)vm->where.line);
    print_memory(vm, plan);
    print_controller(plan);
    print_devices(vm, plan, board);
    print_cores(vm);
    (void)printf("  %-9s %s: %s%s%s\n\n", "images", vm->boot.source == BOOT_FAT ? "fat" : "embedded",
                 vm->boot.kernel, vm->boot.initrd[0] ? ", " : "", vm->boot.initrd);
}

// ---- what two VMs have in common ----

static bool cores_common(const struct vm_config *a, const struct vm_config *b)
{
    if (a->sched.pcpu_count == 0 || b->sched.pcpu_count == 0) {
        return true;
    }
    for (unsigned i = 0; i < a->sched.pcpu_count; i++) {
        for (unsigned j = 0; j < b->sched.pcpu_count; j++) {
            if (a->sched.pcpus[i] == b->sched.pcpus[j]) {
                return true;
            }
        }
    }
    return false;
}

// Calls found() for each thing in common; returns how many.
static unsigned pair_common(const struct vm_config *a, const struct vm_config *b,
                            void (*found)(const char *what, const char *name, const char *a, const char *b))
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->region_count; i++) {
        for (unsigned j = 0; j < b->region_count; j++) {
            if (a->regions[i].kind == REGION_SHARED && b->regions[j].kind == REGION_SHARED &&
                strcmp(a->regions[i].share, b->regions[j].share) == 0) {
                found("memory", a->regions[i].share, a->name, b->name);
                n++;
            }
        }
    }
    for (unsigned i = 0; i < a->device_count; i++) {
        for (unsigned j = 0; j < b->device_count; j++) {
            if (strncmp(a->devices[i].backend, "fat:", 4) == 0 &&
                strcmp(a->devices[i].backend, b->devices[j].backend) == 0) {
                found("disk, read-only", a->devices[i].backend, a->name, b->name);
                n++;
            }
        }
    }
    if (cores_common(a, b)) {
        found("cores", a->sched.pcpu_count && b->sched.pcpu_count ? "the same ones" : "any", a->name,
              b->name);
        n++;
    }
    return n;
}

static void print_common(const char *what, const char *name, const char *a, const char *b)
{
    (void)printf("  %s (%s): '%s' and '%s'\n", what, name, a, b);
}

static bool json_first;

static void json_common(const char *what, const char *name, const char *a, const char *b)
{
    (void)printf("%s\n    {\"what\": ", json_first ? "" : ",");
    json_first = false;
    json_text(what);
    (void)printf(", \"name\": ");
    json_text(name);
    (void)printf(", \"vms\": [");
    json_text(a);
    (void)printf(", ");
    json_text(b);
    (void)printf("]}");
}

static unsigned all_common(const struct config *config,
                           void (*found)(const char *what, const char *name, const char *a, const char *b))
{
    unsigned n = 0;

    for (unsigned i = 0; i < config->vm_count; i++) {
        for (unsigned j = i + 1; j < config->vm_count; j++) {
            if (!config->vms[i].refused && !config->vms[j].refused) {
                n += pair_common(&config->vms[i], &config->vms[j], found);
            }
        }
    }
    return n;
}

// ---- JSON ----

static void json_area(const char *name, uint64_t base, uint64_t size, bool first)
{
    (void)printf("%s\n        {\"name\": ", first ? "" : ",");
    json_text(name);
    (void)printf(", \"base\": %llu, \"size\": %llu", (ull)base, (ull)size);
}

static void json_memory(const struct vm_config *vm, const struct vm_plan *plan)
{
    (void)printf("      \"memory\": [");
    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];

        json_area(kind_name(r->kind), r->base, r->size, i == 0);
        (void)printf(", \"share\": ");
        json_text(share_of(vm, r));
        (void)putchar('}');
    }
    (void)printf("],\n");
}

static void json_devices(const struct vm_config *vm, const struct vm_plan *plan, const struct board *board)
{
    const struct plan_gic *gic = &plan->gic;

    (void)printf(
        "      \"gic\": {\"version\": %u, \"gicd\": [%llu, %llu], \"gicr\": [%llu, %llu], \"gicc\": [%llu, "
        "%llu]},\n",
        gic->version, (ull)gic->gicd_base, (ull)gic->gicd_size, (ull)gic->gicr_base, (ull)gic->gicr_size,
        (ull)gic->gicc_base, (ull)gic->gicc_size);
    (void)printf("      \"devices\": [");
    for (unsigned i = 0; i < plan->device_count; i++) {
        const struct plan_device *d = &plan->devices[i];

        json_area(d->name, d->base, d->size, i == 0);
        (void)printf(
            ", \"model\": \"%s\", \"port\": %s, \"irq\": %u, \"intid\": %u, \"read_only\": %s, \"backend\": ",
            vdev_model_name(d->model), d->port ? "true" : "false", (unsigned)(d->irq - board->irq_first),
            (unsigned)d->irq, read_only(vm, d) ? "true" : "false");
        json_text(backend_of(vm, d));
        (void)putchar('}');
    }
    (void)printf("],\n");
}

static void json_vm(const struct vm_config *vm, const struct vm_plan *plan, const struct board *board,
                    bool first)
{
    (void)printf("%s\n    {\"name\": ", first ? "" : ",");
    json_text(vm->name);
    (void)printf(", \"vcpus\": %u,\n      \"kernel\": ", vm->cpus);
    json_text(vm->boot.kernel);
    (void)printf(", \"initrd\": ");
    json_text(vm->boot.initrd);
    (void)printf(", \"source\": \"%s\",\n", vm->boot.source == BOOT_FAT ? "fat" : "embed");
    json_memory(vm, plan);
    json_devices(vm, plan, board);
    (void)printf("      \"cores\": [");
    for (unsigned i = 0; i < vm->sched.pcpu_count; i++) {
        (void)printf("%s%u", i ? ", " : "", vm->sched.pcpus[i]);
    }
    (void)printf("]}");
}

int cmd_plan(struct loaded *l)
{
    const struct board *board = board_find(l->options->arch);
    static struct config_errors scratch;
    struct vm_plan plan;
    bool first = true;

    if (l->options->json) {
        (void)printf("{\"arch\": \"%s\", \"vms\": [", l->options->arch);
    }
    for (unsigned i = 0; i < l->config.vm_count; i++) {
        const struct vm_config *vm = &l->config.vms[i];

        if (vm->refused || plan_build(&plan, vm, l->options->arch, &scratch) != OK) {
            continue;
        }
        if (l->options->json) {
            json_vm(vm, &plan, board, first);
        } else {
            print_vm(vm, &plan, board);
        }
        first = false;
    }
    if (l->options->json) {
        json_first = true;
        (void)printf("],\n  \"common\": [");
        (void)all_common(&l->config, json_common);
        (void)printf("]}\n");
    } else {
        (void)printf("in common\n");
        if (all_common(&l->config, print_common) == 0) {
            (void)printf("  nothing\n");
        }
    }
    return l->errors.count ? 1 : 0;
}
