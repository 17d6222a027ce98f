// SPDX-License-Identifier: Apache-2.0
//
// The aarch64 board's own parts: GIC, PL011, PL031.
#include "drivers/irqchip/gic_virt.h"
#include "kernel/log/log.h"
#include "kernel/time/wallclock.h"
#include "vmm/devices/vpl011.h"
#include "vmm/devices/vpl031.h"
#include "vmm/irqchip/vgic.h"
#include "vmm/manage/board_parts.h"

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
        log_err("[%s] refused: %s, whose registers this machine does not have (under QEMU: -M "
                "virt,gic-version=3)",
                vm_name(vm),
                vm->config->gic == GIC_V3 ? "gic = \"v3\" asks for a GICv3"
                                          : "more than 8 CPUs need a GICv3");
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

static enum status create_irqchip(struct vm *vm)
{
    return vgic_create(vm, &vm->plan.gic, &vm->irqchip);
}

static enum status create_uart(struct vm *vm, const struct plan_device *p, struct char_backend *console)
{
    struct vdev *dev;

    return vpl011_create(vm, p, console, &dev);
}

static enum status create_rtc(struct vm *vm, const struct plan_device *p)
{
    struct vdev *dev;

    return vpl031_create(vm, p, wallclock_now(), &dev);
}

const struct board_parts board_parts_aarch64 = {
    .arch = "aarch64",
    .resolve_irqchip = resolve_irqchip,
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
};
