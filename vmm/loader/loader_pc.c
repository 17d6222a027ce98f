// SPDX-License-Identifier: Apache-2.0
//
// See loader_pc.h. Everything lies below 1 MiB, where no kernel is put but real-mode code.
#include "vmm/loader/loader_pc.h"

#include <string.h>

#include "vmm/firmware/pc_linux.h"
#include "vmm/firmware/pc_multiboot.h"
#include "vmm/firmware/pc_start_info.h"
#include "vmm/firmware/pc_tables.h"
#include "vmm/firmware/vm_fdt.h"

#define CONSOLE "ttyS0"
#define CMDLINE_ROOM (CONFIG_CMDLINE_MAX + 32)

static bool is_ram(const struct vm_plan *plan, uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];

        if (r->kind == REGION_RAM && r->base <= base && end - r->base <= r->size) {
            return true;
        }
    }
    return false;
}

// Only the tables are in its way.
static enum status check_real_mode(const struct layout *layout, struct load_error *error)
{
    if (layout->kernel + layout->kernel_size > PC_LOW_RAM_END) {
        return load_fail(error, E_RANGE, "ends at 0x%llx: code for real mode has room up to 0x%x",
                         (unsigned long long)(layout->kernel + layout->kernel_size), PC_LOW_RAM_END);
    }
    return OK;
}

enum status loader_pc_check(const struct vm_plan *plan, const struct image *image,
                            const struct layout *layout, struct load_error *error)
{
    uint64_t last = layout->initrd + layout->initrd_size - 1;
    uint64_t limit = image->initrd_max ? image->initrd_max : UINT32_MAX;

    if (!is_ram(plan, 0, PC_HIGH_RAM)) {
        return load_fail(error, E_CONFIG, "cannot be started: the guest has no RAM at 0 for its tables");
    }
    if (layout->initrd_size && layout->initrd < PC_HIGH_RAM) {
        return load_fail(error, E_RANGE, "has no room for its initrd above 1 MiB");
    }
    if (image->mode == IMAGE_MODE_REAL) {
        return check_real_mode(layout, error);
    }
    if (layout->kernel < PC_HIGH_RAM) {
        return load_fail(error, E_RANGE, "wants to lie at 0x%llx, below 1 MiB, where a PC's tables are",
                         (unsigned long long)layout->kernel);
    }
    if (layout->kernel + layout->kernel_size > GIB(4)) {
        return load_fail(error, E_RANGE, "wants to lie at 0x%llx, beyond 4 GiB, where it cannot be entered",
                         (unsigned long long)layout->kernel);
    }
    if (layout->initrd_size && last > limit) {
        return load_fail(error, E_RANGE, "takes an initrd up to 0x%llx only, and it would end at 0x%llx",
                         (unsigned long long)limit, (unsigned long long)last);
    }
    return OK;
}

static enum status write(const struct loader_pc_input *in, uint64_t to, const void *bytes, uint64_t len)
{
    return in->sink->write(in->sink->ctx, to, bytes, len);
}

static enum status write_tables(const struct loader_pc_input *in, uint64_t *rsdp)
{
    const struct pc_tables_input tables_in = {
        .plan = in->plan, .cpus = in->config->cpus, .base = PC_TABLES_BASE};
    struct pc_tables tables = {0};
    enum status st = pc_tables_build(&tables_in, in->sink->bounce, in->sink->bounce_size, &tables);

    if (st == OK) {
        st = write(in, PC_TABLES_BASE, in->sink->bounce, tables.size);
    }
    *rsdp = tables.rsdp;
    return st == OK ? write(in, PC_MP_POINTER, tables.mp_pointer, sizeof(tables.mp_pointer)) : st;
}

// Not under code for real mode, which may lie there itself.
static enum status write_bda(const struct loader_pc_input *in)
{
    uint8_t bda[PC_BDA_SIZE] = {
        [PC_BDA_EBDA] = PC_MP_POINTER >> 4 & 0xFF,
        [PC_BDA_EBDA + 1] = PC_MP_POINTER >> 12 & 0xFF,
        [PC_BDA_BASE_KIB] = PC_LOW_RAM_END >> 10 & 0xFF,
        [PC_BDA_BASE_KIB + 1] = PC_LOW_RAM_END >> 18 & 0xFF,
    };

    return in->image->mode == IMAGE_MODE_REAL ? OK : write(in, PC_BDA, bda, sizeof(bda));
}

static enum status start_info(const struct loader_pc_input *in, uint64_t rsdp, uint64_t *arg)
{
    const char *cmdline = in->config->boot.cmdline;
    const struct pc_start_info_input info = {
        .plan = in->plan,
        .has_cmdline = cmdline[0] != 0,
        .rsdp = rsdp,
        .initrd_base = in->layout->initrd,
        .initrd_size = in->layout->initrd_size,
    };
    enum status st = write(in, PC_START_INFO, in->sink->bounce, pc_start_info_build(&info, in->sink->bounce));

    *arg = PC_START_INFO;
    return st == OK && cmdline[0] ? write(in, PC_CMDLINE, cmdline, strlen(cmdline) + 1) : st;
}

static enum status multiboot(const struct loader_pc_input *in, uint64_t *arg)
{
    const char *cmdline = in->config->boot.cmdline;
    const struct pc_multiboot_input info = {
        .plan = in->plan,
        .cmdline = cmdline[0] ? PC_CMDLINE : 0,
        .initrd_base = (uint32_t)in->layout->initrd, // below 4 GiB: loader_pc_check()
        .initrd_size = (uint32_t)in->layout->initrd_size,
    };
    enum status st = write(in, PC_MULTIBOOT, in->sink->bounce, pc_multiboot_build(&info, in->sink->bounce));

    *arg = PC_MULTIBOOT;
    return st == OK && cmdline[0] ? write(in, PC_CMDLINE, cmdline, strlen(cmdline) + 1) : st;
}

static enum status write_seed(const struct loader_pc_input *in)
{
    _Static_assert(PC_SEED_SIZE <= VM_FDT_SEED_SIZE);
    if (!in->seed) {
        return OK;
    }
    pc_linux_setup_data(in->seed, in->sink->bounce);
    return write(in, PC_SETUP_DATA, in->sink->bounce, PC_SETUP_DATA_SIZE);
}

static enum status linux64(const struct loader_pc_input *in, uint64_t rsdp, uint64_t *arg)
{
    const struct pc_linux_input linux_in = {
        .plan = in->plan,
        .setup = in->image->setup,
        .setup_size = in->image->setup_size,
        .cmdline = PC_CMDLINE,
        .rsdp = rsdp,
        .initrd_base = in->layout->initrd,
        .initrd_size = in->layout->initrd_size,
        .has_setup_data = in->seed != NULL,
    };
    char cmdline[CMDLINE_ROOM];
    enum status st;

    if (!vm_cmdline(in->config, in->plan, CONSOLE, cmdline, sizeof(cmdline))) {
        return E_RANGE;
    }
    pc_linux_zero_page(&linux_in, in->sink->bounce);
    st = write(in, PC_ZERO_PAGE, in->sink->bounce, PAGE_SIZE);
    if (st == OK) {
        st = write(in, PC_CMDLINE, cmdline, strlen(cmdline) + 1);
    }
    if (st == OK) {
        st = write_seed(in);
    }
    for (unsigned i = 0; st == OK && i < PC_PAGE_TABLE_COUNT; i++) {
        pc_linux_page_table(i, in->sink->bounce);
        st = write(in, PC_PAGE_TABLES + i * PAGE_SIZE, in->sink->bounce, PAGE_SIZE);
    }
    *arg = PC_ZERO_PAGE;
    return st;
}

enum status loader_pc_write(const struct loader_pc_input *in, uint64_t *arg, struct load_error *error)
{
    uint64_t rsdp;
    enum status st = write_tables(in, &rsdp);

    *arg = 0;
    if (st == OK) {
        st = write_bda(in);
    }
    if (st == OK && in->image->multiboot) {
        st = multiboot(in, arg);
    } else if (st == OK && in->image->mode != IMAGE_MODE_REAL) {
        st = in->image->mode == IMAGE_MODE_LINUX64 ? linux64(in, rsdp, arg) : start_info(in, rsdp, arg);
    }
    return st == OK ? OK : load_fail(error, st, "cannot be made: %s", status_name(st));
}
