// SPDX-License-Identifier: Apache-2.0
//
// The composition root: bring-up of the machine, as a table of contents.
#include "arch/boot.h"
#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "arch/virt.h"
#include "kernel/cpu/cpu.h"
#include "kernel/dev/firmware.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/dev/random.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/time/timer.h"
#include "vmm/manage/guest_irqs.h"
#include "vmm/manage/manager.h"

#define MIB_OF(bytes) ((unsigned long long)((bytes) >> 20))

static struct virt_caps caps;

// A step without which there is no hypervisor.
static void must(enum status s, const char *what)
{
    if (s != OK) {
        panic("%s: %s", what, status_name(s));
    }
}

static void init_memory(struct boot_info *bi)
{
    must(firmware_scan_memory(bi), "no description of the machine from the boot loader");
    arch_map_ram(bi);
    must(page_init(bi), "page allocator");
    must(vmap_init(), "address space");
}

static void init_devices(struct boot_info *bi)
{
    must(firmware_scan_hardware(bi), "device enumeration");
    if (!arch_time_init(bi)) {
        log_warn("nothing on this machine tells how fast its clock is: %llu MHz are assumed",
                 (unsigned long long)(arch_time_hz() / 1000000));
    }
    dev_probe(DRIVER_IRQCHIP);
    if (!irq_chip()) {
        panic("no interrupt controller that Lodge knows");
    }
    must(irq_init_cpu(), "interrupt controller");
    must(timer_init_cpu(), "timer");
    must(sched_init_cpu(), "scheduler");
    dev_probe(DRIVER_CONSOLE);
}

static void enable_virtualisation(void)
{
    if (arch_virt_enable() != OK) {
        panic("CPU %u: virtualisation cannot be enabled", this_cpu()->index);
    }
    guest_irqs_init_cpu();
}

static void banner(const struct boot_info *bi)
{
    struct page_stats mem;

    page_stats_get(&mem);
    log_info("Lodge " LODGE_VERSION " on %s", bi->model[0] ? bi->model : "an unnamed machine");
    log_info("CPUs: %u of %u, %s; %s: %s", cpu_online_count(), cpu_count(), arch_cpu_describe(), caps.name,
             caps.text);
    if (caps.hidden[0]) {
        log_info("guests do not get: %s (not virtualised)", caps.hidden);
    }
    log_info("memory: %llu MiB free of %llu MiB; interrupt controller: %s; clock %llu kHz", MIB_OF(mem.free),
             MIB_OF(mem.total), irq_chip()->name, (unsigned long long)(arch_time_hz() / 1000));
}

void kernel_main(struct boot_info *bi)
{
    cpu_init_boot(bi->boot_cpu_hw_id);
    arch_cpu_init();
    init_memory(bi);
    random_init(bi);
    init_devices(bi);
    caps.options = bi->cmdline;
    must(arch_virt_probe(&caps), "virtualisation");
    cpu_set_online_hook(enable_virtualisation); // on this CPU now, on the others as they come
    cpu_start_all();
    banner(bi);
    must(sched_reaper_start(), "reaper of threads");
    arch_irq_enable();
    dev_probe(DRIVER_DEVICE);
    arch_seal_image();
    if (!selftest_start()) {
        must(manager_start(bi), "VM manager");
    }
    sched_idle_loop();
}
