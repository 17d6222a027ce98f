// SPDX-License-Identifier: Apache-2.0
//
// The rules between keys: inside one VM (images, disks, memory, CPUs), then between VMs (names, shares, disks, the
// machine's memory). Every complaint refuses one VM; of two that want the same thing the later one.
#include "vmm/config/arch/board.h"
#include "vmm/config/config_keys.h"

#include <stdio.h>
#include <string.h>

static struct toml_pos at(struct config_pos pos)
{
    return (struct toml_pos){pos.line, pos.column};
}

// ---- images ----

// A name of the guest catalogue rather than a path: no dot, no slash.
static bool is_catalogue_name(const char *s)
{
    for (const char *c = s; *c; c++) {
        bool ok = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                  *c == '_' || *c == '-';

        if (!ok) {
            return false;
        }
    }
    return s[0] != '\0';
}

// "debian" with role "kernel" becomes "debian/kernel", on the FAT disk "/debian/kernel"; paths there get their leading
// slash. False when it no longer fits.
static bool resolve(const char *name, const char *role, enum boot_source source, char *out)
{
    const char *slash = source == BOOT_FAT && name[0] != '/' ? "/" : "";
    int n;

    if (is_catalogue_name(name)) {
        n = snprintf(out, CONFIG_PATH_MAX, "%s%s/%s", slash, name, role);
    } else {
        n = snprintf(out, CONFIG_PATH_MAX, "%s%s", slash, name);
    }
    return n >= 0 && n < CONFIG_PATH_MAX;
}

// `unknown` is the answer when there is nobody to ask.
static bool image_exists(const struct config_env *env, enum boot_source source, const char *path,
                         bool unknown)
{
    bool (*ask)(const char *, void *) = source == BOOT_FAT ? env->file_exists : env->embedded_exists;

    return ask ? ask(path, env->ctx) : unknown;
}

static void check_image(struct schema_context *cx, enum boot_source source, char *path, const char *role,
                        struct config_pos pos)
{
    char full[CONFIG_PATH_MAX];

    if (!path[0]) {
        return;
    }
    if (!resolve(path, role, source, full)) {
        schema_complain(cx, at(pos), "vm.boot.%s: the path is too long", role);
        return;
    }
    memcpy(path, full, sizeof(full));
    if (image_exists(cx->env, source, path, true)) {
        return;
    }
    if (source == BOOT_FAT) {
        schema_complain(cx, at(pos), "vm.boot.%s: the FAT disk has no file '%s'", role, path);
    } else {
        schema_complain(cx, at(pos),
                        "vm.boot.%s: '%s' is neither in the guest catalogue nor a file that exists", role,
                        path);
    }
}

static void check_boot(struct schema_context *cx, struct boot_config *boot)
{
    char initrd[CONFIG_PATH_MAX];
    bool own_initrd = boot->initrd_pos.line != 0;

    // A catalogue entry may bring its initrd along.
    if (!own_initrd && is_catalogue_name(boot->kernel) &&
        resolve(boot->kernel, "initrd", boot->source, initrd) &&
        image_exists(cx->env, boot->source, initrd, false)) {
        memcpy(boot->initrd, initrd, sizeof(initrd));
    } else if (own_initrd) {
        check_image(cx, boot->source, boot->initrd, "initrd", boot->initrd_pos);
    }
    if (boot->kernel_pos.line && !boot->kernel[0] && !cx->vm->refused) {
        schema_complain(cx, at(boot->kernel_pos), "vm.boot.kernel: is empty");
    }
    check_image(cx, boot->source, boot->kernel, "kernel", boot->kernel_pos);
    check_image(cx, boot->source, boot->dtb, "dtb", boot->dtb_pos);
}

// ---- devices ----

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

// Replaces what follows the prefix by its resolved form.
static bool resolve_backend(struct device_config *d, size_t prefix_len, enum boot_source source)
{
    char full[CONFIG_PATH_MAX];

    if (!resolve(d->backend + prefix_len, "disk", source, full) ||
        strlen(full) + prefix_len >= CONFIG_PATH_MAX) {
        return false;
    }
    memcpy(d->backend + prefix_len, full, strlen(full) + 1);
    return true;
}

static void check_fat_disk(struct schema_context *cx, struct device_config *d)
{
    const char *path = d->backend + strlen("fat:");

    if (path[0] == '\0' || strcmp(path, "/") == 0) {
        schema_complain(cx, at(d->backend_pos),
                        "vm.device.backend: 'fat:' needs a file, as in \"fat:/disk.img\"");
        return;
    }
    if (path[0] != '/') {
        if (strlen(d->backend) + 1 >= sizeof(d->backend)) {
            schema_complain(cx, at(d->backend_pos), "vm.device.backend: the path is too long");
            return;
        }
        memmove(d->backend + strlen("fat:/"), path, strlen(path) + 1);
        d->backend[strlen("fat:")] = '/';
    }
    if (!cx->env->makes_disks && !image_exists(cx->env, BOOT_FAT, path, true)) {
        schema_complain(cx, at(d->backend_pos), "vm.device.backend: the FAT disk has no file '%s'", path);
    }
}

// "embed:key" and "ram:key".
static void check_embedded_disk(struct schema_context *cx, struct device_config *d, size_t prefix_len)
{
    if (!resolve_backend(d, prefix_len, BOOT_EMBED)) {
        schema_complain(cx, at(d->backend_pos), "vm.device.backend: the path is too long");
        return;
    }
    if (!image_exists(cx->env, BOOT_EMBED, d->backend + prefix_len, true)) {
        schema_complain(cx, at(d->backend_pos),
                        "vm.device.backend: '%s' is neither in the guest catalogue nor a file that exists",
                        d->backend + prefix_len);
    }
    if (d->size) {
        schema_complain(cx, at(d->backend_pos), "vm.device.size: the disk has the size of its file");
    }
}

static void check_blk(struct schema_context *cx, struct device_config *d)
{
    if (has_prefix(d->backend, "fat:")) {
        check_fat_disk(cx, d);
    } else if (has_prefix(d->backend, "embed:") && d->backend[6]) {
        d->read_only = true;
        check_embedded_disk(cx, d, 6);
    } else if (has_prefix(d->backend, "ram:") && d->backend[4]) {
        check_embedded_disk(cx, d, 4);
    } else if (has_prefix(d->backend, "ram:")) {
        if (!d->size) {
            schema_complain(cx, at(d->backend_pos),
                            "vm.device.size: is missing: how large the RAM disk shall be");
        }
    } else if (!d->backend[0] && d->backend_pos.line && cx->vm->refused) {
        return; // complained about when it was read
    } else if (!d->backend[0] && !d->backend_pos.line) {
        schema_complain(cx, at(d->pos),
                        "vm.device.backend: is missing: what the disk is, as in \"fat:/disk.img\"");
    } else {
        schema_complain(
            cx, at(d->backend_pos),
            "vm.device.backend: \"%.40s\" is not \"fat:/FILE\", \"embed:FILE\", \"ram:FILE\" or \"ram:\"",
            d->backend);
    }
}

static void check_device(struct schema_context *cx, struct device_config *d)
{
    const struct board *board = cx->board;

    if (d->has_irq && (d->irq < board->irq_low || d->irq >= board->irq_count)) {
        schema_complain(cx, at(d->irq_pos), "vm.device.irq: %s %u is outside %u to %u", board->irq_word,
                        (unsigned)d->irq, (unsigned)board->irq_low, (unsigned)board->irq_count - 1);
    }
    if (d->model == MODEL_VIRTIO_BLK) {
        check_blk(cx, d);
        return;
    }
    if (d->size || d->read_only) {
        schema_complain(cx, at(d->pos), "vm.device: `size` and `read_only` are for virtio-blk only");
    }
    if (d->backend[0] && (d->model == MODEL_RTC || strcmp(d->backend, "console") != 0)) {
        schema_complain(cx, at(d->backend_pos), "vm.device.backend: \"%.40s\" does not fit %s%s", d->backend,
                        vdev_model_name(d->model),
                        d->model == MODEL_RTC ? ", which has none" : ": only \"console\" does");
    }
}

// ---- one VM ----

static void check_memory(struct schema_context *cx, struct vm_config *vm)
{
    uint64_t ram = 0;

    if (vm->region_count == 0) {
        return;
    }
    for (unsigned i = 0; i < vm->region_count; i++) {
        ram += vm->regions[i].kind == REGION_RAM ? vm->regions[i].size : 0;
    }
    vm->memory = ram;
    if (ram < cx->board->ram_min && !vm->refused) {
        schema_complain(
            cx, at(vm->memory_pos), "vm.memory: %llu KiB of RAM are too little, %s guests need %llu KiB",
            (unsigned long long)ram >> 10, cx->board->arch, (unsigned long long)cx->board->ram_min >> 10);
    }
}

static void check_cpus(struct schema_context *cx, struct vm_config *vm)
{
    unsigned limit = cx->env->cpu_count;

    if (vm->gic != GIC_AUTO && !cx->board->has_gic) {
        schema_complain(cx, at(vm->gic_pos), "vm.gic: %s has no GIC; \"auto\" fits all architectures",
                        cx->board->arch);
    } else if (vm->gic == GIC_V2 && vm->cpus > 8) {
        schema_complain(cx, at(vm->gic_pos), "vm.gic: a GICv2 serves 8 CPUs at most, the VM has %u",
                        vm->cpus);
    }
    if (vm->irqchip != IRQCHIP_AUTO && !cx->board->has_plic) {
        schema_complain(cx, at(vm->irqchip_pos),
                        "vm.irqchip: %s has neither PLIC nor AIA; \"auto\" fits all architectures",
                        cx->board->arch);
    }
    for (unsigned i = 0; limit && i < vm->sched.pcpu_count; i++) {
        if (vm->sched.pcpus[i] >= limit) {
            schema_complain(cx, at(vm->pcpus_pos),
                            "vm.sched.pcpus: there is no CPU %u, the machine has 0 to %u", vm->sched.pcpus[i],
                            limit - 1);
        }
    }
}

static void check_budget(struct schema_context *cx, const struct vm_config *vm)
{
    if (vm->sched.budget_us && !vm->period_pos.line) {
        schema_complain(cx, at(vm->budget_pos), "vm.sched.budget: needs a period, as in period = \"10ms\"");
    } else if (vm->sched.period_us && !vm->budget_pos.line) {
        schema_complain(cx, at(vm->period_pos), "vm.sched.period: needs a budget, as in budget = \"5ms\"");
    } else if (vm->sched.period_us && vm->sched.budget_us > vm->sched.period_us) {
        schema_complain(cx, at(vm->budget_pos), "vm.sched.budget: longer than the period");
    }
}

void config_check_vm(struct schema_context *cx, struct vm_config *vm)
{
    check_memory(cx, vm);
    check_cpus(cx, vm);
    check_budget(cx, vm);
    for (unsigned i = 0; i < vm->device_count; i++) {
        check_device(cx, &vm->devices[i]);
    }
    // A layout from keys that are wrong would only bring complaints about itself. Missing files do not matter to it.
    if (!vm->refused && plan_build(cx->plan, vm, cx->env->arch, cx->errors) != OK) {
        vm->refused = true;
    }
    check_boot(cx, &vm->boot);
}

// ---- between VMs ----

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;

        if (x != y) {
            return false;
        }
    }
    return *a == *b;
}

static void check_names(struct schema_context *cx, const struct vm_config *vm, const struct vm_config *other)
{
    struct toml_pos pos = {vm->where.line, 1};

    if (same_name(vm->name, other->name)) {
        schema_complain(cx, pos, "vm.name: '%s' is taken by the VM at %s:%u", vm->name, other->where.file,
                        (unsigned)other->where.line);
    }
}

static void check_shares(struct schema_context *cx, const struct vm_config *vm, const struct vm_config *other)
{
    for (unsigned i = 0; i < vm->region_count; i++) {
        const struct region_config *a = &vm->regions[i];

        for (unsigned j = 0; a->kind == REGION_SHARED && j < other->region_count; j++) {
            const struct region_config *b = &other->regions[j];

            if (b->kind == REGION_SHARED && strcmp(a->share, b->share) == 0 && a->size != b->size) {
                schema_complain(
                    cx, at(a->pos), "vm.memory.size: share '%s' has 0x%llx bytes here, but 0x%llx in vm '%s'",
                    a->share, (unsigned long long)a->size, (unsigned long long)b->size, other->name);
            }
        }
    }
}

// Two disks on the same file, FAT names being equal in any case.
static bool disks_clash(const struct device_config *a, const struct device_config *b)
{
    return a->model == MODEL_VIRTIO_BLK && b->model == MODEL_VIRTIO_BLK && has_prefix(a->backend, "fat:") &&
           same_name(a->backend, b->backend) && !(a->read_only && b->read_only);
}

// `other` may be the VM itself: then only earlier devices count.
static void check_disks(struct schema_context *cx, const struct vm_config *vm, const struct vm_config *other)
{
    for (unsigned i = 0; i < vm->device_count; i++) {
        const struct device_config *a = &vm->devices[i];
        unsigned end = vm == other ? i : other->device_count;

        for (unsigned j = 0; j < end; j++) {
            const struct device_config *b = &other->devices[j];

            if (disks_clash(a, b)) {
                schema_complain(
                    cx, at(a->backend_pos),
                    "vm.device.backend: '%.60s' is in use by vm '%s' (%s:%u): one writer alone, or "
                    "read_only = true on all",
                    a->backend, other->name, b->where.file, (unsigned)b->where.line);
            }
        }
    }
}

// Disks made in memory fill up as the guest writes; of "ram:FILE" what is written is copied, in the end all.
static uint64_t disk_size(const struct config_env *env, const struct device_config *d)
{
    const char *file = d->backend + strlen("ram:");

    if (d->model != MODEL_VIRTIO_BLK || d->read_only || !has_prefix(d->backend, "ram:")) {
        return 0;
    }
    if (!file[0]) {
        return d->size;
    }
    return env->embedded_size ? env->embedded_size(file, env->ctx) : 0;
}

static uint64_t disk_memory_need(const struct config_env *env, const struct vm_config *vm)
{
    uint64_t need = 0;

    for (unsigned i = 0; i < vm->device_count; i++) {
        uint64_t size = disk_size(env, &vm->devices[i]);

        need = size > UINT64_MAX - need ? UINT64_MAX : need + size;
    }
    return need;
}

// Shared regions count once; which VM brings one first pays.
static uint64_t vm_memory_need(const struct config_env *env, const struct config *config, unsigned index)
{
    const struct vm_config *vm = &config->vms[index];
    uint64_t need = vm->region_count ? 0 : vm->memory;
    uint64_t disks = disk_memory_need(env, vm);

    for (unsigned i = 0; i < vm->region_count; i++) {
        need += vm->regions[i].size;
        for (unsigned o = 0; vm->regions[i].kind == REGION_SHARED && o < index; o++) {
            const struct vm_config *other = &config->vms[o];

            for (unsigned j = 0; !other->refused && j < other->region_count; j++) {
                if (other->regions[j].kind == REGION_SHARED &&
                    strcmp(other->regions[j].share, vm->regions[i].share) == 0) {
                    need -= vm->regions[i].size;
                    o = index;
                    break;
                }
            }
        }
    }
    return need + disks < need ? UINT64_MAX : need + disks;
}

static void check_total_memory(struct schema_context *cx)
{
    uint64_t left = cx->env->ram_free;

    for (unsigned i = 0; left && i < cx->config->vm_count; i++) {
        struct vm_config *vm = &cx->config->vms[i];
        uint64_t need = vm_memory_need(cx->env, cx->config, i);

        if (vm->refused) {
            continue;
        }
        cx->vm = vm;
        cx->file = vm->where.file;
        if (need > left) {
            schema_complain(cx, at(vm->memory_pos),
                            "vm.memory: needs %llu MiB, but %llu of the machine's %llu MiB are left",
                            (unsigned long long)need >> 20, (unsigned long long)left >> 20,
                            (unsigned long long)cx->env->ram_free >> 20);
        } else {
            left -= need;
        }
        if (left == 0) {
            left = 1; // all given out: the next one is still to be refused
        }
    }
}

void config_check_all(struct schema_context *cx)
{
    for (unsigned i = 0; i < cx->config->vm_count; i++) {
        struct vm_config *vm = &cx->config->vms[i];

        cx->vm = vm;
        cx->file = vm->where.file;
        for (unsigned j = 0; j < i; j++) {
            check_names(cx, vm, &cx->config->vms[j]);
            check_shares(cx, vm, &cx->config->vms[j]);
            check_disks(cx, vm, &cx->config->vms[j]);
        }
        check_disks(cx, vm, vm);
        for (unsigned j = 0; j < cx->env->living_count; j++) {
            check_names(cx, vm, cx->env->living[j]);
            check_disks(cx, vm, cx->env->living[j]);
        }
    }
    check_total_memory(cx);
    cx->vm = NULL;
}
