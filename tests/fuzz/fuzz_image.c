// SPDX-License-Identifier: Apache-2.0
//
// What the loader is given: kernels of every format, compressed or not, and users' device trees. The first byte of the
// input chooses the options, the rest is the file. Whatever is accepted must lie in RAM and be loadable there.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/lib/range.h"
#include "vmm/firmware/vm_fdt.h"
#include "vmm/loader/gzip.h"
#include "vmm/loader/image.h"
#include "vmm/loader/layout.h"
#include "vmm/loader/loader_pc.h"

#define RAM_BASE 0x40000000ull
#define RAM_SIZE MIB(4)

enum {
    OPT_TREE = 1,
    OPT_LOAD = 2,
    OPT_ENTRY = 4,
    OPT_LOW = 8,
    OPT_RISCV = 16,
    OPT_PC = 32
};

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t ram[RAM_SIZE];
static uint8_t bounce[512];
static uint64_t ram_base;
static struct vm_plan plan;
static struct vm_config config;
static uint8_t tree[KIB(64)] __attribute__((aligned(8)));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static enum status input_read(void *ctx, uint64_t off, void *buf, uint64_t len)
{
    const struct input *in = ctx;

    require(range_contains(0, in->size, off, len));
    memcpy(buf, in->data + off, len);
    return OK;
}

// Layout and load must agree: everything accepted stays inside.
static enum status ram_write(void *ctx, uint64_t gpa, const void *buf, uint64_t len)
{
    (void)ctx;
    require(range_contains(ram_base, RAM_SIZE, gpa, len));
    memcpy(ram + (gpa - ram_base), buf, len);
    return OK;
}

static enum status ram_zero(void *ctx, uint64_t gpa, uint64_t len)
{
    (void)ctx;
    require(range_contains(ram_base, RAM_SIZE, gpa, len));
    memset(ram + (gpa - ram_base), 0, len);
    return OK;
}

static void load(const struct image_source *src, const struct image_options *options,
                 struct load_error *error)
{
    const struct image_sink sink = {ram_write, ram_zero, NULL, bounce, sizeof(bounce)};
    bool pc = strcmp(options->arch, "x86_64") == 0;
    struct layout layout = {.initrd_size = 12345, .fdt_size = pc ? 0 : KIB(64)};
    struct image image;

    if (image_probe(src, options, &image, error) != OK || layout_build(&plan, &image, &layout, error) != OK ||
        (pc && loader_pc_check(&plan, &image, &layout, error) != OK)) {
        require(error->text[0] != 0);
        return;
    }
    require(image.entry < image.span && image.base == layout.kernel);
    require(range_contains(ram_base, RAM_SIZE, image.base, image.span));
    require(range_contains(ram_base, RAM_SIZE, layout.initrd, layout.initrd_size));
    require(range_contains(ram_base, RAM_SIZE, layout.fdt, layout.fdt_size));
    (void)!image_load(&image, src, &sink, error);
}

static void kernel(struct input *in, uint8_t options_byte)
{
    const struct image_options options = {
        .arch = options_byte & OPT_PC      ? "x86_64"
                : options_byte & OPT_RISCV ? "riscv64"
                                           : "aarch64",
        .has_load = options_byte & OPT_LOAD,
        .has_entry = options_byte & OPT_ENTRY,
        .load = ram_base + KIB(512),
        .entry = ram_base + KIB(512) + 16,
    };
    struct image_source src = {.name = "fuzz", .size = in->size, .read = input_read, .ctx = in};
    struct image_source content = src;
    struct gzip_stream *gz = NULL;
    struct load_error error = {{0}};

    if (gzip_probe(&src) && gzip_open(&src, &gz, &content, &error) != OK) {
        return;
    }
    if (content.size <= RAM_SIZE) {
        load(&content, &options, &error);
    }
    if (gz && content.size <= RAM_SIZE) {
        (void)!gzip_finish(gz, &error);
    }
    gzip_close(gz);
}

static void device_tree(const struct input *in)
{
    const struct vm_fdt_input fdt = {
        .config = &config, .plan = &plan, .initrd_base = RAM_BASE, .initrd_size = 0x1000};
    size_t size = in->size;

    if (size > sizeof(tree) - VM_FDT_PATCH_ROOM) {
        return;
    }
    memcpy(tree, in->data, size);
    if (vm_fdt_patch(&fdt, tree, sizeof(tree), &size) == OK) {
        require(size <= sizeof(tree));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in;
    uint8_t options = size ? data[0] : 0;

    if (size < 2) {
        return 0;
    }
    in = (struct input){data + 1, size - 1};
    ram_base = options & OPT_LOW ? 0 : RAM_BASE;
    config.cpus = 1;
    plan.console = -1;
    plan.region_count = 1;
    plan.regions[0] = (struct plan_region){.base = ram_base, .size = RAM_SIZE, .kind = REGION_RAM};
    if (options & OPT_TREE) {
        device_tree(&in);
    } else {
        kernel(&in, options);
    }
    return 0;
}
