// SPDX-License-Identifier: Apache-2.0
//
// Where the GIC drivers leave their virtual interface for the virtual controller. Written once, at probe.
#include "drivers/irqchip/gic_virt.h"

static const struct gic_virt_ops *current;

const struct gic_virt_ops *gic_virt(void)
{
    return current;
}

void gic_virt_set(const struct gic_virt_ops *ops)
{
    current = ops;
}
