// SPDX-License-Identifier: Apache-2.0
//
// The virtual GICv3 as an object: creation, reset, wired inputs, the operations table.
#include "vmm/irqchip/vgic.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/vm.h"
#include "vmm/irqchip/vgic_state.h"

static void cpu_reset(struct vgic_cpu *cpu)
{
    struct vgic_cpu fresh = {.frame = cpu->frame,
                             .index = cpu->index,
                             .stale = cpu->stale || cpu->loaded,
                             .stale_linked = cpu->stale_linked | (cpu->loaded ? cpu->priv.linked : 0),
                             .waker = GICR_WAKER_SLEEP | GICR_WAKER_ASLEEP};

    vgic_block_reset(&fresh.priv, true);
    memcpy(fresh.priv.host_irq, cpu->priv.host_irq, sizeof(fresh.priv.host_irq));
    *cpu = fresh;
    cpu->hw.hcr = HCR_EN;
}

void vgic_reset(struct virqchip *chip)
{
    struct vgic *g = vgic_of(chip);
    irq_state_t state = spin_lock_irqsave(&g->lock);

    atomic_store_explicit(&g->ctlr, 0, memory_order_relaxed);
    for (unsigned i = 0; i + 1 < g->block_count; i++) {
        vgic_block_reset(&g->spi[i], false);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(g->target); i++) {
        g->affinity[i] = 0;
        g->target[i] = 0;
        g->holder[i] = VGIC_NO_VCPU;
    }
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        cpu_reset(&g->cpus[i]);
    }
    spin_unlock_irqrestore(&g->lock, state);
}

// Wired inputs are SPIs; anything else is not connected.
static void vgic_set_line(struct virqchip *chip, unsigned line, bool level)
{
    struct vgic *g = vgic_of(chip);
    const uint32_t m = vgic_bit(line);
    struct vgic_block *b;
    irq_state_t state;

    if (line < VGIC_PRIVATE || line >= VGIC_INTID_LIMIT || line / 32 >= g->block_count) {
        return;
    }
    b = &g->spi[line / 32 - 1];
    state = spin_lock_irqsave(&g->lock);
    if (((b->line & m) != 0) != level) {
        b->line ^= m;
        if (level && (b->edge & m)) {
            b->latched |= m;
        }
        vgic_spi_changed(g, line / 32, m);
    }
    spin_unlock_irqrestore(&g->lock, state);
}

static void vgic_set_vcpu_line(struct virqchip *chip, unsigned vcpu, unsigned line, bool level)
{
    struct vgic *g = vgic_of(chip);
    const uint32_t m = vgic_bit(line);
    struct vgic_cpu *cpu;
    uint32_t old;

    if (line < 16 || line >= VGIC_PRIVATE || vcpu >= chip->vcpu_count) {
        return;
    }
    cpu = &g->cpus[vcpu];
    old = level ? atomic_fetch_or_explicit(&cpu->lines, m, memory_order_relaxed)
                : atomic_fetch_and_explicit(&cpu->lines, ~m, memory_order_relaxed);
    if (((old & m) != 0) == level) {
        return;
    }
    if (level) {
        atomic_fetch_or_explicit(&cpu->rises, m, memory_order_relaxed);
    }
    vgic_post(cpu, VGIC_EV_POST);
}

// No ITS, and GICD_TYPER.MBIS = 0: there is nobody to write a message to.
static enum status vgic_send_msi(struct virqchip *chip, uint32_t device_id, uint64_t address, uint32_t data)
{
    (void)chip;
    (void)device_id;
    (void)address;
    (void)data;
    return E_UNSUPPORTED;
}

static void maps_destroy(struct vgic *g)
{
    vreg_map_destroy(&g->dist_map);
    vreg_map_destroy(&g->id_map);
    vreg_map_destroy(&g->rd_map);
    vreg_map_destroy(&g->sgi_map);
}

static void vgic_free(struct vgic *g)
{
    maps_destroy(g);
    if (g->cpus) {
        pool_free_array(g->cpus, g->chip.vcpu_count, sizeof(g->cpus[0]));
    }
    if (g->spi) {
        pool_free_array(g->spi, g->block_count - 1, sizeof(g->spi[0]));
    }
    pool_free(g, sizeof(*g));
}

static void vgic_destroy(struct virqchip *chip)
{
    struct vgic *g = vgic_of(chip);

    // Absent only when the bus has gone already; nothing else can be done about it either.
    (void)!io_bus_remove(&chip->vm->mmio, g->gicd_base);
    (void)!io_bus_remove(&chip->vm->mmio, g->gicr_base);
    vgic_free(g);
}

static const struct virqchip_ops vgic_ops = {
    .name = "vgicv3",
    .reset = vgic_reset,
    .destroy = vgic_destroy,
    .set_line = vgic_set_line,
    .set_vcpu_line = vgic_set_vcpu_line,
    .send_msi = vgic_send_msi,
    .load = vgic_load,
    .put = vgic_put,
    .flush = vgic_flush,
    .maintenance = vgic_maintenance,
    .pending = vgic_pending,
    .forward = vgic_forward,
    .send_sgi = vgic_send_sgi,
    .save = vgic_save,
    .restore = vgic_restore,
};

static enum status plan_check(const struct vm *vm, const struct plan_gic *plan)
{
    if (!gic_virt() || gic_virt()->version != 3 || plan->version == 2) {
        return E_UNSUPPORTED;
    }
    if (vm->vcpu_count == 0 || vm->vcpu_count > VGIC_VCPU_MAX || plan->gicd_size != GIC_FRAME_SIZE ||
        plan->gicr_size < (uint64_t)vm->vcpu_count * GICR_STRIDE ||
        plan->spi_count > VGIC_INTID_LIMIT - VGIC_PRIVATE) {
        return E_INVAL;
    }
    return OK;
}

static enum status maps_create(struct vgic *g)
{
    enum status st = vreg_map_create(&g->dist_map, vgic_dist_rows, vgic_dist_row_count, GICD_MAP_SIZE);

    st = st != OK ? st : vreg_map_create(&g->id_map, vgic_id_rows, vgic_id_row_count, GIC_ID_SIZE);
    st = st != OK ? st : vreg_map_create(&g->rd_map, vgic_rd_rows, vgic_rd_row_count, GICR_MAP_SIZE);
    return st != OK ? st : vreg_map_create(&g->sgi_map, vgic_sgi_rows, vgic_sgi_row_count, GICR_MAP_SIZE);
}

static enum status regions_add(struct vgic *g, struct vm *vm)
{
    struct io_region dist = {
        .base = g->gicd_base, .size = GIC_FRAME_SIZE, .access = vgic_dist_access, .dev = g, .name = "gicd"};
    struct io_region redist = {.base = g->gicr_base,
                               .size = (uint64_t)vm->vcpu_count * GICR_STRIDE,
                               .access = vgic_redist_access,
                               .dev = g,
                               .name = "gicr"};
    enum status st = io_bus_add(&vm->mmio, &dist, NULL);

    if (st != OK) {
        return st;
    }
    st = io_bus_add(&vm->mmio, &redist, NULL);
    if (st != OK) {
        (void)!io_bus_remove(&vm->mmio, dist.base);
    }
    return st;
}

// What the host's virtual interface offers.
static void hardware_limits(struct vgic *g)
{
    unsigned lrs = g->hw->lr_count();
    unsigned bits = g->hw->priority_bits();

    g->lr_count = lrs < 1 ? 1 : lrs > GIC_LR_MAX ? GIC_LR_MAX : lrs;
    g->lr_mask = (uint32_t)MASK64(0, g->lr_count);
    g->priority_mask = (uint8_t)(0xff00u >> (bits < 4 ? 4 : bits > 8 ? 8 : bits));
}

enum status vgic_create(struct vm *vm, const struct plan_gic *plan, struct virqchip **out)
{
    enum status st = plan_check(vm, plan);
    struct vgic *g;

    if (st != OK) {
        return st;
    }
    g = pool_alloc(sizeof(*g));
    if (!g) {
        return E_NOMEM;
    }
    g->chip = (struct virqchip){.ops = &vgic_ops, .vm = vm, .vcpu_count = vm->vcpu_count};
    g->hw = gic_virt();
    hardware_limits(g);
    g->block_count = 1 + (plan->spi_count + 31) / 32;
    g->gicd_base = plan->gicd_base;
    g->gicr_base = plan->gicr_base;
    g->frame.vgic = g;
    spin_init(&g->lock, LOCK_VGIC_DIST);
    g->cpus = pool_alloc_array(vm->vcpu_count, sizeof(g->cpus[0]));
    g->spi = g->block_count > 1 ? pool_alloc_array(g->block_count - 1, sizeof(g->spi[0])) : NULL;
    st = g->cpus && (g->spi || g->block_count == 1) ? maps_create(g) : E_NOMEM;
    if (st == OK) {
        for (unsigned i = 0; i < vm->vcpu_count; i++) {
            g->cpus[i].frame = (struct vgic_frame){.vgic = g, .cpu = &g->cpus[i]};
            g->cpus[i].index = i;
        }
        vgic_reset(&g->chip);
        st = regions_add(g, vm);
    }
    if (st != OK) {
        vgic_free(g);
        return st;
    }
    *out = &g->chip;
    return OK;
}
