// SPDX-License-Identifier: Apache-2.0
//
// The virtual GICv3 as an object: creation, reset, wired inputs, the operations table.
#include "vmm/irqchip/vgic.h"

#include <string.h>

#include "arch/virt.h"
#include "kernel/mm/pool.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/vm.h"
#include "vmm/irqchip/vgic_state.h"

static void cpu_reset(struct vgic_cpu *cpu)
{
    struct vgic_cpu fresh = {.frame = cpu->frame,
                             .index = cpu->index,
                             .stale = cpu->stale || cpu->loaded,
                             .by_parts = !cpu->frame.vgic->hw->swap,
                             .stale_linked = cpu->stale_linked | (cpu->loaded ? cpu->priv.linked : 0),
                             .waker = GICR_WAKER_SLEEP | GICR_WAKER_ASLEEP};

    vgic_block_reset(&fresh.priv, true);
    fresh.priv.enabled =
        cpu->frame.vgic->v2 ? GIC_PRIVATE_SGIS : 0; // as on a GIC-400: SGIs are always enabled
    memcpy(fresh.priv.host_irq, cpu->priv.host_irq, sizeof(fresh.priv.host_irq));
    *cpu = fresh;
    cpu->hw.hcr = cpu->frame.vgic->hcr;
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
        g->affinity[i] = g->v2; // GICv2: a mask, and guests made for one CPU never write it
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
        if (!vgic_spi_offer(g, line, level)) {
            vgic_spi_changed(g, line / 32, m);
        }
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
    vreg_map_destroy(&g->gicc_map);
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

// Absent only when the bus has gone already; nothing else can be done about it either.
static void regions_remove(struct vgic *g, struct vm *vm)
{
    (void)!io_bus_remove(&vm->mmio, g->gicd_base);
    if (!g->v2) {
        (void)!io_bus_remove(&vm->mmio, g->gicd_base + GICD_MAP_SIZE);
        (void)!io_bus_remove(&vm->mmio, g->gicr_base);
        return;
    }
    (void)!io_bus_remove(&vm->mmio, g->gicc_base + (g->emulated ? 0 : PAGE_SIZE));
    if (!g->emulated) {
        (void)!aspace_unmap(&vm->stage2, g->gicc_base, PAGE_SIZE); // one page: no split, cannot fail
    }
}

static void vgic_destroy(struct virqchip *chip)
{
    struct vgic *g = vgic_of(chip);

    regions_remove(g, chip->vm);
    vgic_free(g);
}

static const struct virqchip_ops vgic_ops = {
    .name = "vgic",
    .reset = vgic_reset,
    .destroy = vgic_destroy,
    .set_line = vgic_set_line,
    .set_vcpu_line = vgic_set_vcpu_line,
    .send_msi = vgic_send_msi,
    .load = vgic_load,
    .put = vgic_put,
    .swap = vgic_swap,
    .flush = vgic_flush,
    .maintenance = vgic_maintenance,
    .pending = vgic_pending,
    .forward = vgic_forward,
    .forwarded = vgic_forwarded,
    .send_sgi = vgic_send_sgi,
    .save = vgic_save,
    .restore = vgic_restore,
};

static enum status plan_check(const struct vm *vm, const struct plan_gic *plan)
{
    if (plan->version == 2) {
        return vm->vcpu_count == 0 || vm->vcpu_count > GICV2_CPU_MAX || plan->gicd_size < GICV2_DIST_SIZE ||
                       plan->gicc_size < GICV2_CPUIF_SIZE || plan->spi_count > VGIC_INTID_LIMIT - VGIC_PRIVATE
                   ? E_INVAL
                   : OK;
    }
    if (!gic_virt() || gic_virt()->version != 3) {
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
    enum status st;

    if (g->v2) {
        st = vreg_map_create(&g->dist_map, vgic_dist_v2_rows, vgic_dist_v2_row_count, GICV2_DIST_SIZE);
        return st != OK
                   ? st
                   : vreg_map_create(&g->gicc_map, vgic_gicc_rows, vgic_gicc_row_count, GICV2_CPUIF_SIZE);
    }
    st = vreg_map_create(&g->dist_map, vgic_dist_rows, vgic_dist_row_count, GICD_MAP_SIZE);
    st = st != OK ? st : vreg_map_create(&g->id_map, vgic_id_rows, vgic_id_row_count, GIC_ID_SIZE);
    st = st != OK ? st : vreg_map_create(&g->rd_map, vgic_rd_rows, vgic_rd_row_count, GICR_MAP_SIZE);
    return st != OK ? st : vreg_map_create(&g->sgi_map, vgic_sgi_rows, vgic_sgi_row_count, GICR_MAP_SIZE);
}

static enum status regions_add(struct vgic *g, struct vm *vm)
{
    struct io_region dist = {
        .base = g->gicd_base, .size = GICD_MAP_SIZE, .access = vgic_dist_access, .dev = g, .name = "gicd"};
    struct io_region high = {.base = g->gicd_base + GICD_MAP_SIZE,
                             .size = GIC_FRAME_SIZE - GICD_MAP_SIZE,
                             .access = vgic_dist_high_access,
                             .dev = g,
                             .name = "gicd"};
    struct io_region redist = {.base = g->gicr_base,
                               .size = (uint64_t)vm->vcpu_count * GICR_STRIDE,
                               .access = vgic_redist_access,
                               .dev = g,
                               .name = "gicr"};
    enum status st = io_bus_add(&vm->mmio, &dist, NULL);

    if (st != OK) {
        return st;
    }
    st = io_bus_add(&vm->mmio, &high, NULL);
    if (st != OK) {
        goto out_dist;
    }
    st = io_bus_add(&vm->mmio, &redist, NULL);
    if (st == OK) {
        return OK;
    }
    (void)!io_bus_remove(&vm->mmio, high.base);
out_dist:
    (void)!io_bus_remove(&vm->mmio, dist.base);
    return st;
}

// A GICv2's second part: the CPU interface. GICV has a page for GICC_DIR alone, which is emulated even
// then: the hardware could not say which of the interrupts without a list register the guest deactivates.
static enum status regions_add_v2(struct vgic *g, struct vm *vm)
{
    struct io_region dist = {.base = g->gicd_base,
                             .size = GICV2_DIST_SIZE,
                             .access = vgic_dist_v2_access,
                             .dev = g,
                             .name = "gicd"};
    struct io_region cpuif = {
        .base = g->gicc_base, .size = GICV2_CPUIF_SIZE, .access = vgic_gicc_access, .dev = g, .name = "gicc"};
    struct mem_attr attr = {.perm = PERM_R | PERM_W, .type = MEM_DEVICE};
    enum status st = io_bus_add(&vm->mmio, &dist, NULL);

    if (st != OK) {
        return st;
    }
    if (!g->emulated) {
        cpuif.base += PAGE_SIZE;
        cpuif.size = PAGE_SIZE;
        cpuif.access = vgic_dir_access;
        st = aspace_map(&vm->stage2, g->gicc_base, gic_virt()->gicv, PAGE_SIZE, attr);
    }
    if (st != OK) {
        goto out_dist;
    }
    st = io_bus_add(&vm->mmio, &cpuif, NULL);
    if (st == OK) {
        return OK;
    }
    if (!g->emulated) {
        (void)!aspace_unmap(&vm->stage2, g->gicc_base, PAGE_SIZE);
    }
out_dist:
    (void)!io_bus_remove(&vm->mmio, dist.base);
    return st;
}

// GICV must be a page of its own for a guest to get it.
static bool has_gicv(const struct plan_gic *plan)
{
    const struct gic_virt_ops *hw = gic_virt();

    return hw && hw->version == 2 && hw->gicv_size >= PAGE_SIZE && is_aligned(hw->gicv.v, PAGE_SIZE) &&
           is_aligned(plan->gicc_base, PAGE_SIZE);
}

// What the host's virtual interface offers.
static void hardware_limits(struct vgic *g)
{
    unsigned lrs = g->hw->lr_count();
    unsigned bits = g->hw->priority_bits();

    g->lr_count = lrs < 1 ? 1 : lrs > GIC_LR_MAX ? GIC_LR_MAX : lrs;
    g->lr_mask = (uint32_t)MASK64(0, g->lr_count);
    g->priority_mask = (uint8_t)(0xff00u >> (bits < 4 ? 4 : bits > 8 ? 8 : bits));
    // A vCPU may deactivate (ICC_DIR_EL1, EOImode 1) an SPI that sits in another one's list registers, where its hardware
    // cannot reach it.
    g->hcr = HCR_EN | (g->hw->traps_dir && g->chip.vcpu_count > 1 ? (uint32_t)HCR_TDIR : 0);
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
    g->v2 = plan->version == 2;
    g->emulated = g->v2 && !has_gicv(plan);
    g->hw = g->emulated ? &vgic_cpuif_ops : gic_virt();
    hardware_limits(g);
    g->block_count = 1 + (plan->spi_count + 31) / 32;
    g->gicd_base = plan->gicd_base;
    g->gicr_base = plan->gicr_base;
    g->gicc_base = plan->gicc_base;
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
        st = g->v2 ? regions_add_v2(g, vm) : regions_add(g, vm);
    }
    if (st != OK) {
        vgic_free(g);
        return st;
    }
    if (g->v2) {
        arch_vm_hide_irq_regs(&vm->arch);
    }
    *out = &g->chip;
    return OK;
}
