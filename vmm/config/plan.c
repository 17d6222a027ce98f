// SPDX-License-Identifier: Apache-2.0
//
// Building the ownership plan: place everything, then check that nothing overlaps.
//
// Every thing with an address becomes an extent that remembers which key put it there, so that a complaint can name
// both sides and what to change.
#include "vmm/config/plan.h"

#include "kernel/lib/range.h"
#include "vmm/config/arch/board.h"

#include <stdio.h>
#include <string.h>

#define GIC_FRAME KIB(64)
#define GICD_SIZE_V3 GIC_FRAME
#define GICD_SIZE_V2 KIB(4)
#define GICC_SIZE KIB(8)
#define GICV2_CPU_MAX 8
#define EXTENT_MAX (PLAN_REGION_MAX + PLAN_DEVICE_MAX + PLAN_FIXED_MAX + 4)

struct extent {
    uint64_t base, size;
    const char *what;
    const char *key;          // "vm.device.base"; NULL: board_key says
    enum board_key board_key; // BOARD_NO_KEY: fixed
    struct config_pos pos;
    bool port;
};

struct builder {
    struct vm_plan *plan;
    const struct vm_config *config;
    const struct board *board;
    struct config_errors *errors;
    unsigned errors_before;
    unsigned extent_count;
    struct extent extents[EXTENT_MAX];
};

#define COMPLAIN(b_, pos_, ...) \
    config_complain((b_)->errors, (b_)->config->where.file, (pos_), (b_)->config->name, __VA_ARGS__)

static struct config_pos vm_pos(const struct builder *b)
{
    return (struct config_pos){b->config->where.line, 1};
}

// ---- extents ----

static void extent_add(struct builder *b, struct extent e)
{
    struct config_pos pos = e.pos.line ? e.pos : vm_pos(b);
    uint64_t limit = BIT64(b->board->gpa_bits);

    if (!e.port && !range_contains(0, limit, e.base, e.size)) {
        COMPLAIN(b, &pos, "%s at 0x%llx ends beyond the guest's address space of %u bits", e.what,
                 (unsigned long long)e.base, b->board->gpa_bits);
        return;
    }
    if (b->extent_count < EXTENT_MAX) {
        b->extents[b->extent_count++] = e;
    }
}

struct key_text {
    char s[40];
};

// What to change to move the extent; empty when nothing can.
static struct key_text extent_key(const struct extent *e)
{
    struct key_text out = {""};
    const char *name = board_key_name(e->board_key);

    if (e->key) {
        (void)snprintf(out.s, sizeof(out.s), "%s", e->key);
    } else if (name) {
        (void)snprintf(out.s, sizeof(out.s), "vm.board.%s", name);
    }
    return out;
}

// The position to blame: the one written down later.
static struct config_pos blame(const struct builder *b, const struct extent *x, const struct extent *y)
{
    const struct extent *e = x->pos.line >= y->pos.line ? x : y;

    return e->pos.line ? e->pos : vm_pos(b);
}

static unsigned long long last_byte(const struct extent *e)
{
    return (unsigned long long)(e->base + e->size - 1);
}

static void complain_gicr(const struct builder *b, const struct extent *gicr, const struct extent *other)
{
    struct config_pos pos = gicr->pos.line ? gicr->pos : other->pos.line ? other->pos : b->config->cpus_pos;
    struct key_text key = extent_key(other);
    bool into = gicr->base < other->base;

    pos = pos.line ? pos : vm_pos(b);
    COMPLAIN(b, &pos,
             "GICR: the redistributors (2 frames of 64 KiB for each of %u vCPU%s: 0x%llx-0x%llx) %s %s "
             "(0x%llx-0x%llx): "
             "set vm.board.gicr to where %llu KiB are free%s%s",
             b->config->cpus, b->config->cpus == 1 ? "" : "s", (unsigned long long)gicr->base,
             last_byte(gicr), into ? "run into" : "overlap", other->what, (unsigned long long)other->base,
             last_byte(other), (unsigned long long)gicr->size >> 10, key.s[0] ? ", or change " : "", key.s);
}

static void complain_overlap(const struct builder *b, const struct extent *x, const struct extent *y)
{
    struct config_pos pos = blame(b, x, y);
    struct key_text kx = extent_key(x), ky = extent_key(y);
    bool gicc = b->config->gic == GIC_AUTO && !x->key && !y->key &&
                (x->board_key == BOARD_GICC || y->board_key == BOARD_GICC);
    bool both = kx.s[0] && ky.s[0] && strcmp(kx.s, ky.s) != 0;

    COMPLAIN(b, &pos, "%s (0x%llx-0x%llx) overlaps %s (0x%llx-0x%llx): change %s%s%s%s", x->what,
             (unsigned long long)x->base, last_byte(x), y->what, (unsigned long long)y->base, last_byte(y),
             kx.s, both ? " or " : "", both || !kx.s[0] ? ky.s : "", gicc ? ", or set gic = \"v3\"" : "");
}

static bool is_gicr(const struct extent *e)
{
    return !e->key && e->board_key == BOARD_GICR;
}

static void check_overlaps(const struct builder *b)
{
    bool gicr_told = false; // once is enough, even if they run over more than one thing

    for (unsigned i = 0; i < b->extent_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct extent *x = &b->extents[i], *y = &b->extents[j];

            if (x->port != y->port || !range_overlaps(x->base, x->size, y->base, y->size)) {
                continue;
            }
            if (!is_gicr(x) && !is_gicr(y)) {
                complain_overlap(b, x, y);
            } else if (!gicr_told) {
                complain_gicr(b, is_gicr(x) ? x : y, is_gicr(x) ? y : x);
                gicr_told = true;
            }
        }
    }
}

// ---- memory ----

static const char *region_name(enum region_kind kind)
{
    switch (kind) {
    case REGION_RAM:
        return "RAM";
    case REGION_ROM:
        return "ROM";
    case REGION_SHARED:
        return "shared memory";
    }
    return "memory";
}

// Sorted insertion.
static void region_add(struct builder *b, uint64_t base, uint64_t size, enum region_kind kind, int index)
{
    struct vm_plan *plan = b->plan;
    unsigned i = plan->region_count++;
    struct extent e = {.base = base, .size = size, .what = region_name(kind), .key = "vm.memory"};

    for (; i > 0 && plan->regions[i - 1].base > base; i--) {
        plan->regions[i] = plan->regions[i - 1];
    }
    plan->regions[i] = (struct plan_region){base, size, kind, index};
    e.pos = b->config->memory_pos;
    if (index >= 0) {
        e.key = b->config->regions[index].has_base ? "vm.memory.base" : "vm.memory.size";
        e.pos = b->config->regions[index].pos;
    }
    extent_add(b, e);
}

// The lowest free place for a region without an address, on a 2 MiB boundary.
static uint64_t region_place(const struct builder *b, uint64_t size)
{
    const struct vm_plan *plan = b->plan;
    uint64_t base = b->board->ram_base;

    for (unsigned i = 0; i < plan->region_count; i++) { // sorted
        const struct plan_region *r = &plan->regions[i];

        if (range_overlaps(base, size, r->base, r->size)) {
            base = align_up(r->base + r->size, BLOCK_SIZE);
        }
    }
    return base;
}

static void place_memory(struct builder *b)
{
    const struct vm_config *c = b->config;
    uint64_t low = c->memory;

    if (c->region_count == 0) {
        if (b->board->ram_low_max && low > b->board->ram_low_max) {
            low = b->board->ram_low_max;
            region_add(b, b->board->ram_high, c->memory - low, REGION_RAM, -1);
        }
        region_add(b, b->board->ram_base, low, REGION_RAM, -1);
        return;
    }
    for (unsigned i = 0; i < c->region_count; i++) {
        if (c->regions[i].has_base) {
            region_add(b, c->regions[i].base, c->regions[i].size, c->regions[i].kind, (int)i);
        }
    }
    for (unsigned i = 0; i < c->region_count; i++) {
        if (!c->regions[i].has_base) {
            region_add(b, region_place(b, c->regions[i].size), c->regions[i].size, c->regions[i].kind,
                       (int)i);
        }
    }
}

// ---- interrupt controller ----

// The address a key of [vm.board] gives, else the board's own.
static uint64_t board_value(const struct builder *b, enum board_key key, uint64_t normal)
{
    if (key == BOARD_NO_KEY || !(b->config->board.has & UINT32_C(1) << key)) {
        return normal;
    }
    return b->config->board.value[key];
}

static void board_extent_add(struct builder *b, uint64_t base, uint64_t size, const char *what,
                             enum board_key key)
{
    struct extent e = {.base = base, .size = size, .what = what, .board_key = key};

    if (key != BOARD_NO_KEY && (b->config->board.has & UINT32_C(1) << key)) {
        e.pos = b->config->board.pos[key];
    }
    extent_add(b, e);
}

static void place_gic(struct builder *b)
{
    struct plan_gic *gic = &b->plan->gic;
    const struct vm_config *c = b->config;

    gic->version = c->gic == GIC_V2 ? 2 : c->gic == GIC_V3 || c->cpus > GICV2_CPU_MAX ? 3 : 0;
    gic->spi_count = b->board->irq_count;
    gic->gicd_base = board_value(b, BOARD_GICD, b->board->gicd_base);
    gic->gicd_size = gic->version == 2 ? GICD_SIZE_V2 : GICD_SIZE_V3;
    board_extent_add(b, gic->gicd_base, gic->gicd_size, "GICD", BOARD_GICD);
    if (gic->version != 2) {
        gic->gicr_base = board_value(b, BOARD_GICR, b->board->gicr_base);
        gic->gicr_size = 2 * GIC_FRAME * c->cpus;
        board_extent_add(b, gic->gicr_base, gic->gicr_size, "GICR", BOARD_GICR);
        if (!is_aligned(gic->gicd_base, GIC_FRAME)) {
            COMPLAIN(
                b, &c->board.pos[BOARD_GICD],
                "vm.board.gicd: 0x%llx is no multiple of 64 KiB, as a GICv3 needs; gic = \"v2\" would do",
                (unsigned long long)gic->gicd_base);
        }
    }
    if (gic->version != 3) {
        gic->gicc_base = board_value(b, BOARD_GICC, b->board->gicc_base);
        gic->gicc_size = GICC_SIZE;
        board_extent_add(b, gic->gicc_base, gic->gicc_size, "GICC", BOARD_GICC);
    }
}

static void place_fixed(struct builder *b)
{
    enum irqchip_kind kind = b->config->irqchip == IRQCHIP_AIA ? IRQCHIP_AIA : IRQCHIP_PLIC;

    for (unsigned i = 0; i < b->board->fixed_count; i++) {
        struct plan_fixed *f = &b->plan->fixed[b->plan->fixed_count];

        if (b->board->fixed[i].only != IRQCHIP_AUTO && b->board->fixed[i].only != kind) {
            continue;
        }
        b->plan->fixed_count++;
        *f = b->board->fixed[i].area;
        f->base = board_value(b, b->board->fixed[i].key, f->base);
        f->size *= b->board->fixed[i].per_cpu ? b->config->cpus : 1;
        board_extent_add(b, f->base, f->size, f->name, b->board->fixed[i].key);
    }
}

// ---- devices ----

// The entry is named after the number of those of its model before it.
static struct plan_device *device_add(struct builder *b, enum vdev_model model, int config_index)
{
    static const char *const prefix[MODEL_COUNT] = {[MODEL_UART] = "uart",
                                                    [MODEL_RTC] = "rtc",
                                                    [MODEL_VIRTIO_CONSOLE] = "hvc",
                                                    [MODEL_VIRTIO_BLK] = "vd"};
    struct vm_plan *plan = b->plan;
    struct plan_device *d = &plan->devices[plan->device_count];
    unsigned n = 0;

    for (unsigned i = 0; i < plan->device_count; i++) {
        n += plan->devices[i].model == model;
    }
    plan->device_count++;
    d->model = model;
    d->config_index = config_index;
    d->slot = -1;
    if (model == MODEL_VIRTIO_BLK) {
        (void)snprintf(d->name, sizeof(d->name), "%s%c", prefix[model], (char)('a' + n));
    } else {
        (void)snprintf(d->name, sizeof(d->name), "%s%u", prefix[model], n);
    }
    return d;
}

static int first_of_model(const struct vm_config *c, enum vdev_model model)
{
    for (unsigned i = 0; i < c->device_count; i++) {
        if (c->devices[i].model == model) {
            return (int)i;
        }
    }
    return -1;
}

// A device with a place of its own: the extent is blamed on its `base`.
static void device_extent_add(struct builder *b, const struct plan_device *d, enum board_key key)
{
    struct extent e = {.base = d->base, .size = d->size, .what = d->name, .board_key = key, .port = d->port};

    if (d->config_index >= 0 && b->config->devices[d->config_index].has_base) {
        e.key = "vm.device.base";
        e.pos = b->config->devices[d->config_index].base_pos;
    } else if (key != BOARD_NO_KEY) {
        e.pos = b->config->board.pos[key];
    }
    extent_add(b, e);
}

// What every board has; the first [[vm.device]] of the model may say where.
static void place_board_devices(struct builder *b)
{
    for (unsigned i = 0; i < b->board->device_count; i++) {
        const struct board_device *bd = &b->board->devices[i];
        int index = first_of_model(b->config, bd->model);
        struct plan_device *d = device_add(b, bd->model, index);
        const struct device_config *dc = index >= 0 ? &b->config->devices[index] : NULL;

        d->size = bd->size;
        d->port = bd->port;
        d->base = board_value(b, bd->base_key, bd->base);
        d->irq = (uint32_t)board_value(b, bd->irq_key, bd->irq);
        if (dc && dc->has_base && bd->port) {
            COMPLAIN(b, &dc->base_pos, "vm.device.base: %s of %s cannot be moved", d->name, b->board->arch);
        } else if (dc && dc->has_base) {
            d->base = dc->base;
        }
        d->irq = b->board->irq_first + (dc && dc->has_irq ? dc->irq : d->irq);
        device_extent_add(b, d, bd->base_key);
    }
}

// A second UART, or a virtio device outside the slots: base and irq must be given.
static void place_free_device(struct builder *b, int index, uint64_t size)
{
    const struct device_config *dc = &b->config->devices[index];
    struct plan_device *d = device_add(b, dc->model, index);

    if (!dc->has_base || !dc->has_irq) {
        COMPLAIN(b, &dc->pos,
                 "vm.device: %s needs both `base` and `irq`: the board has no place of its own for it",
                 d->name);
    }
    d->size = size;
    d->base = dc->base;
    d->irq = b->board->irq_first + dc->irq;
    device_extent_add(b, d, BOARD_NO_KEY);
}

static void place_slot_device(struct builder *b, int index, unsigned slot)
{
    const struct device_config *dc = &b->config->devices[index];
    struct plan_device *d = device_add(b, dc->model, index);
    struct vm_plan *plan = b->plan;

    d->slot = (int)slot;
    d->size = plan->virtio_slot_size;
    d->base = plan->virtio_base + (uint64_t)slot * plan->virtio_slot_size;
    d->irq = dc->has_irq ? b->board->irq_first + dc->irq : plan->virtio_irq + slot;
}

static void place_config_devices(struct builder *b)
{
    const struct vm_config *c = b->config;
    unsigned slot = 0;

    for (unsigned i = 0; i < c->device_count; i++) {
        enum vdev_model model = c->devices[i].model;
        bool is_virtio = model == MODEL_VIRTIO_BLK || model == MODEL_VIRTIO_CONSOLE;

        if (!is_virtio && first_of_model(c, model) == (int)i) {
            continue; // placed with the board's
        }
        if (!is_virtio || c->devices[i].has_base) {
            place_free_device(b, (int)i, is_virtio ? b->board->virtio_slot_size : KIB(4));
        } else if (slot < b->plan->virtio_slots) {
            place_slot_device(b, (int)i, slot++);
        } else {
            COMPLAIN(b, &c->devices[i].pos, "vm.device: all %u virtio slots are taken",
                     b->plan->virtio_slots);
        }
    }
}

static void place_virtio_window(struct builder *b)
{
    struct vm_plan *plan = b->plan;

    plan->virtio_base = board_value(b, BOARD_VIRTIO, b->board->virtio_base);
    plan->virtio_slots = b->board->virtio_slots;
    plan->virtio_slot_size = b->board->virtio_slot_size;
    plan->virtio_irq = b->board->irq_first + (uint32_t)board_value(b, BOARD_VIRTIO_IRQ, b->board->virtio_irq);
    board_extent_add(b, plan->virtio_base, (uint64_t)plan->virtio_slots * plan->virtio_slot_size,
                     "virtio slots", BOARD_VIRTIO);
}

// ---- checks ----

static struct config_pos irq_pos(const struct builder *b, const struct plan_device *d)
{
    const struct device_config *dc = d->config_index >= 0 ? &b->config->devices[d->config_index] : NULL;

    if (dc && dc->has_irq) {
        return dc->irq_pos;
    }
    if (d->slot >= 0) {
        return b->config->board.pos[BOARD_VIRTIO_IRQ];
    }
    return b->config->board.pos[d->model == MODEL_UART ? BOARD_UART_IRQ : BOARD_RTC_IRQ];
}

static void check_irqs(const struct builder *b)
{
    const struct vm_plan *plan = b->plan;

    for (unsigned i = 0; i < plan->device_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct plan_device *x = &plan->devices[i], *y = &plan->devices[j];
            struct config_pos px = irq_pos(b, x), py = irq_pos(b, y);
            struct config_pos pos = px.line >= py.line ? px : py;

            if (x->irq != y->irq) {
                continue;
            }
            pos = pos.line ? pos : vm_pos(b);
            COMPLAIN(b, &pos, "%s and %s both use %s %u: change `irq` of one, or vm.board.*_irq", y->name,
                     x->name, b->board->irq_word, (unsigned)(x->irq - b->board->irq_first));
        }
    }
}

static void check_load(const struct builder *b)
{
    const struct boot_config *boot = &b->config->boot;
    const uint64_t value[] = {boot->load, boot->entry};
    const bool has[] = {boot->has_load, boot->has_entry};
    static const char *const name[] = {"load", "entry"};

    for (unsigned i = 0; i < ARRAY_SIZE(name); i++) {
        bool inside = false;

        for (unsigned r = 0; r < b->plan->region_count; r++) {
            const struct plan_region *region = &b->plan->regions[r];

            inside = inside || (region->kind != REGION_SHARED &&
                                range_contains(region->base, region->size, value[i], 1));
        }
        if (has[i] && !inside) {
            COMPLAIN(b, &boot->kernel_pos, "vm.boot.%s: 0x%llx is outside the guest's RAM", name[i],
                     (unsigned long long)value[i]);
        }
    }
}

// Records of stolen time, where a board of another make has nothing there: guests do without them.
static void place_stolen(struct builder *b)
{
    struct vm_plan *plan = b->plan;
    uint64_t size = align_up((uint64_t)b->config->cpus * PLAN_STOLEN_SIZE, PAGE_SIZE);

    if (!b->board->stolen_base || plan->fixed_count == PLAN_FIXED_MAX) {
        return;
    }
    for (unsigned i = 0; i < b->extent_count; i++) {
        const struct extent *e = &b->extents[i];

        if (!e->port && range_overlaps(e->base, e->size, b->board->stolen_base, size)) {
            return;
        }
    }
    plan->stolen_base = b->board->stolen_base;
    plan->fixed[plan->fixed_count++] = (struct plan_fixed){"stolen time", plan->stolen_base, size};
}

enum status plan_build(struct vm_plan *out, const struct vm_config *config, const char *arch,
                       struct config_errors *errors)
{
    struct builder b = {.plan = out, .config = config, .board = board_find(arch), .errors = errors};

    memset(out, 0, sizeof(*out));
    if (!b.board) {
        return E_INVAL;
    }
    b.errors_before = errors->count;
    place_memory(&b);
    if (b.board->has_gic) {
        place_gic(&b);
    }
    place_fixed(&b);
    place_virtio_window(&b);
    place_board_devices(&b);
    place_config_devices(&b);
    out->console = 0; // the board's UART, placed first
    check_overlaps(&b);
    check_irqs(&b);
    check_load(&b);
    place_stolen(&b);
    return errors->count == b.errors_before ? OK : E_CONFIG;
}

// ---- what lies where ----

static const char *describe_hole(const struct vm_plan *plan, uint64_t gpa)
{
    if (plan->region_count == 0) {
        return "nothing";
    }
    if (gpa < plan->regions[0].base) {
        return "hole below RAM";
    }
    return gpa >= plan->regions[plan->region_count - 1].base ? "hole above RAM"
                                                             : "hole between memory regions";
}

const struct plan_fixed *plan_find_fixed(const struct vm_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->fixed_count; i++) {
        if (strcmp(plan->fixed[i].name, name) == 0) {
            return &plan->fixed[i];
        }
    }
    return NULL;
}

const char *plan_describe(const struct vm_plan *plan, uint64_t gpa)
{
    const struct plan_gic *gic = &plan->gic;

    for (unsigned i = 0; i < plan->region_count; i++) {
        if (range_contains(plan->regions[i].base, plan->regions[i].size, gpa, 1)) {
            return region_name(plan->regions[i].kind);
        }
    }
    for (unsigned i = 0; i < plan->device_count; i++) {
        if (!plan->devices[i].port && range_contains(plan->devices[i].base, plan->devices[i].size, gpa, 1)) {
            return plan->devices[i].name;
        }
    }
    if (range_contains(plan->virtio_base, (uint64_t)plan->virtio_slots * plan->virtio_slot_size, gpa, 1)) {
        return "empty virtio slot";
    }
    if (range_contains(gic->gicd_base, gic->gicd_size, gpa, 1)) {
        return "GIC distributor";
    }
    if (range_contains(gic->gicr_base, gic->gicr_size, gpa, 1)) {
        return "GIC redistributor";
    }
    if (range_contains(gic->gicc_base, gic->gicc_size, gpa, 1)) {
        return "GIC CPU interface";
    }
    for (unsigned i = 0; i < plan->fixed_count; i++) {
        if (range_contains(plan->fixed[i].base, plan->fixed[i].size, gpa, 1)) {
            return plan->fixed[i].name;
        }
    }
    return describe_hole(plan, gpa);
}
