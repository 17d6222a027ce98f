// SPDX-License-Identifier: Apache-2.0
//
// vm_load(): probe, lay out, copy, describe. Everything that can be refused is, before the first byte is written,
// except for the check sum of a compressed kernel, which is known only at its end.
#include "vmm/loader/loader.h"

#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "arch/virt.h"
#include "kernel/mm/pool.h"
#include "vmm/loader/gzip.h"
#include "vmm/loader/layout.h"
#include "vmm/loader/loader_pc.h"
#include "vmm/loader/source.h"

#define BOUNCE_SIZE KIB(64)

// What one load needs; too big for a thread's stack.
struct job {
    struct vm *vm;
    const struct loader_source *src;
    struct image_source kernel; // the content, when compressed
    struct gzip_stream *gz;
    struct image image;
    struct layout layout;
    struct image_sink sink;
    uint64_t arg; // of the boot vCPU
    struct load_error error;
    const char *file; // that the error is about
    struct vm_fdt_device devices[PLAN_DEVICE_MAX];
    unsigned device_count;
    _Alignas(8) uint8_t bounce[BOUNCE_SIZE]; // copies go by words where both sides are aligned alike
};

static enum status sink_write(void *ctx, uint64_t to, const void *buf, uint64_t len)
{
    struct vm *vm = ctx;

    return gmem_load(&vm->gmem, gpa(to), buf, len);
}

static enum status sink_zero(void *ctx, uint64_t to, uint64_t len)
{
    struct vm *vm = ctx;

    return gmem_zero(&vm->gmem, gpa(to), len);
}

static enum status open_kernel(struct job *j)
{
    const struct vm_config *config = j->vm->config;
    const struct image_options options = {
        .arch = j->src->arch,
        .has_load = config->boot.has_load,
        .has_entry = config->boot.has_entry,
        .load = config->boot.load,
        .entry = config->boot.entry,
    };

    j->file = j->src->kernel.name;
    j->kernel = j->src->kernel;
    if (gzip_probe(&j->src->kernel)) {
        enum status st = gzip_open(&j->src->kernel, &j->gz, &j->kernel, &j->error);
        if (st != OK) {
            return st;
        }
    }
    return image_probe(&j->kernel, &options, &j->image, &j->error);
}

static enum status plan_layout(struct job *j)
{
    j->layout.initrd_size = j->src->initrd.size;
    if (vm_fdt_supports(j->src->arch)) {
        j->layout.fdt_size = j->src->dtb.size ? j->src->dtb.size + VM_FDT_PATCH_ROOM : VM_FDT_CAPACITY;
    }
    if (j->src->dtb.size && !vm_fdt_supports(j->src->arch)) {
        j->file = j->src->dtb.name;
        return load_fail(&j->error, E_CONFIG, "is a device tree, which %s guests do not have", j->src->arch);
    }
    if (j->src->dtb.size > VM_FDT_USER_MAX) {
        j->file = j->src->dtb.name;
        return load_fail(&j->error, E_RANGE, "is too big for a device tree: %llu bytes of at most %llu",
                         (unsigned long long)j->src->dtb.size, (unsigned long long)VM_FDT_USER_MAX);
    }

    enum status st = layout_build(&j->vm->plan, &j->image, &j->layout, &j->error);

    if (BOARD_BUILT("x86_64") && st == OK && !j->layout.fdt_size) {
        return loader_pc_check(&j->vm->plan, &j->image, &j->layout, &j->error);
    }
    return st;
}

static enum status copy_images(struct job *j)
{
    enum status st = image_load(&j->image, &j->kernel, &j->sink, &j->error);

    if (st == OK && j->gz) {
        st = gzip_finish(j->gz, &j->error);
    }
    if (st == OK && j->layout.initrd_size) {
        j->file = j->src->initrd.name;
        st = image_copy(&j->src->initrd, 0, j->layout.initrd_size, j->layout.initrd, &j->sink);
        if (st != OK) {
            return load_fail(&j->error, st, "cannot be loaded: %s", status_name(st));
        }
    }
    return st;
}

// Joins what the plan knows (place, interrupt) with what the device says of itself.
static void collect_devices(struct job *j)
{
    const struct vm_plan *plan = &j->vm->plan;

    list_for_each(it, &j->vm->devices)
    {
        const struct vdev *dev = list_entry(it, struct vdev, node);
        for (unsigned i = 0; i < plan->device_count && j->device_count < PLAN_DEVICE_MAX; i++) {
            const struct plan_device *p = &plan->devices[i];
            if (dev->ops->describe && strcmp(p->name, dev->name) == 0) {
                struct vm_fdt_device *d = &j->devices[j->device_count++];
                *d = (struct vm_fdt_device){.base = p->base, .size = p->size, .irq = p->irq};
                dev->ops->describe(dev, &d->desc);
                break;
            }
        }
    }
}

static enum status fill_fdt(struct job *j, void *tree)
{
    struct vm_fdt_input in = {
        .config = j->vm->config,
        .plan = &j->vm->plan,
        .devices = j->devices,
        .device_count = j->device_count,
        .initrd_base = j->layout.initrd,
        .initrd_size = j->layout.initrd_size,
        .seed = j->src->seed,
        .arch = j->src->arch,
        .timebase = arch_time_hz(),
    };
    size_t size = j->src->dtb.size;
    enum status st;

    arch_guest_cpu_describe(&in.cpu);
    if (size) {
        j->file = j->src->dtb.name;
        st = image_read(&j->src->dtb, 0, tree, size);
        st = st == OK ? vm_fdt_patch(&in, tree, j->layout.fdt_size, &size) : st;
    } else {
        j->file = "device tree";
        st = vm_fdt_build(&in, tree, j->layout.fdt_size, &size);
    }
    if (st == OK) {
        st = gmem_load(&j->vm->gmem, gpa(j->layout.fdt), tree, size);
    }
    return st == OK ? OK : load_fail(&j->error, st, "cannot be used: %s", status_name(st));
}

static enum status load_fdt(struct job *j)
{
    void *tree = pool_alloc_dirty(j->layout.fdt_size);
    enum status st;

    if (!tree) {
        return load_fail(&j->error, E_NOMEM, "cannot be described: out of memory");
    }
    collect_devices(j);
    st = fill_fdt(j, tree);
    pool_free(tree, j->layout.fdt_size);
    return st;
}

// Of a PC: it has no device tree.
static enum status load_pc(struct job *j)
{
    const struct loader_pc_input in = {
        .config = j->vm->config,
        .plan = &j->vm->plan,
        .image = &j->image,
        .layout = &j->layout,
        .seed = j->src->seed,
        .sink = &j->sink,
    };

    j->file = "start information";
    return loader_pc_write(&in, &j->arg, &j->error);
}

// What the guest gets the address of.
static enum status describe(struct job *j)
{
    if (BOARD_BUILT("x86_64") && !j->layout.fdt_size) {
        return load_pc(j);
    }
    j->arg = j->layout.fdt;
    return load_fdt(j);
}

static enum status run_job(struct job *j)
{
    enum status st = open_kernel(j);

    if (st == OK) {
        st = plan_layout(j);
    }
    if (st == OK) {
        st = copy_images(j);
    }
    if (st == OK) {
        st = describe(j);
    }
    return st;
}

static void report(struct job *j, enum status st)
{
    const struct vm_config *config = j->vm->config;
    const struct layout *l = &j->layout;
    char initrd[64] = "";

    if (st != OK) {
        snprintf(j->vm->fault, sizeof(j->vm->fault), "%s %s", j->file, j->error.text);
        log_err("[%s] refused: %s (%s:%u)", config->name, j->vm->fault, config->where.file,
                (unsigned)config->where.line);
        return;
    }
    if (l->initrd_size) {
        snprintf(initrd, sizeof(initrd), ", initrd at 0x%llx (%llu KiB)", (unsigned long long)l->initrd,
                 (unsigned long long)(l->initrd_size >> 10));
    }
    log_info("[%s] %s%s %s at 0x%llx (%llu KiB)%s, %s at 0x%llx", config->name, j->gz ? "gzip " : "",
             j->image.format->name, j->src->kernel.name, (unsigned long long)l->kernel,
             (unsigned long long)(l->kernel_size >> 10), initrd,
             l->fdt_size ? "device tree" : "start information", (unsigned long long)j->arg);
}

enum status vm_load(struct vm *vm, const struct loader_source *src, struct vcpu_entry *entry)
{
    struct job *j = pool_alloc_dirty(sizeof(*j));
    enum status st;

    if (!j) {
        return E_NOMEM;
    }
    memset(j, 0, offsetof(struct job, bounce));
    j->vm = vm;
    j->src = src;
    j->sink = (struct image_sink){sink_write, sink_zero, vm, j->bounce, sizeof(j->bounce)};
    st = run_job(j);
    report(j, st);
    if (st == OK) {
        arch_icache_invalidate_all();
        *entry =
            (struct vcpu_entry){.pc = j->image.base + j->image.entry, .arg = j->arg, .mode = j->image.mode};
    }
    gzip_close(j->gz);
    pool_free(j, sizeof(*j));
    return st;
}

enum status loader_open(struct vm *vm, struct loader_source *out)
{
    const struct boot_config *boot = &vm->config->boot;
    const struct {
        struct image_source *source;
        const char *role, *name;
    } files[] = {{&out->kernel, "kernel", boot->kernel},
                 {&out->initrd, "initrd", boot->initrd},
                 {&out->dtb, "dtb", boot->dtb}};

    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        enum status st = source_open(files[i].source, boot, files[i].name);
        if (st != OK) {
            snprintf(vm->fault, sizeof(vm->fault), "vm.boot.%s: '%s' cannot be opened %s: %s", files[i].role,
                     files[i].name, boot->source == BOOT_FAT ? "on the FAT disk" : "in the image",
                     status_name(st));
            log_err("[%s] refused: %s (%s:%u)", vm_name(vm), vm->fault, vm->config->where.file,
                    (unsigned)vm->config->where.line);
            return st;
        }
    }
    return OK;
}
