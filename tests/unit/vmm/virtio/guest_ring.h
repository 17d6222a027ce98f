// SPDX-License-Identifier: Apache-2.0
//
// The guest's side for the tests of virtio: a small VM with memory and an interrupt line, a split ring that a
// test can also spoil, and register access as a driver does it.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "drivers/virtio/virtio_ring.h"
#include "vmm/core/vm.h"
#include "vmm/virtio/virtio_mmio.h"

#define RAM_BASE UINT64_C(0x40000000)
#define RAM_SIZE MIB(1)
#define RAM_SEAM (RAM_BASE + KIB(512)) // two extents meet here, not adjacent in host memory
#define ROM_BASE UINT64_C(0x50000000)
#define ROM_SIZE KIB(4)
#define MMIO_BASE UINT64_C(0x0a000000)
#define MMIO_IRQ 48u

struct test_guest {
    struct vm vm;
    struct vm_config config;
    struct gmem_extent ram[2], rom;
    uint8_t *mem; // RAM's second half, then its first half, then the ROM
    struct virqchip chip;
    bool level; // of the interrupt line
    unsigned raised;
};

struct test_ring {
    struct test_guest *g;
    uint16_t size;
    uint64_t desc, avail, used;
    bool event_idx;
    uint16_t avail_idx, used_idx;
};

static inline void guest_set_line(struct virqchip *chip, unsigned line, bool level)
{
    struct test_guest *g = container_of(chip, struct test_guest, chip);

    if (line == MMIO_IRQ) {
        g->raised += level && !g->level;
        g->level = level;
    }
}

static inline struct test_guest *guest_create(void)
{
    static const struct virqchip_ops chip_ops = {.name = "test", .set_line = guest_set_line};
    struct test_guest *g = calloc(1, sizeof(*g));
    void *mem;

    if (!g || posix_memalign(&mem, PAGE_SIZE, RAM_SIZE + ROM_SIZE) != 0) {
        abort();
    }
    g->mem = mem;
    memset(mem, 0, RAM_SIZE + ROM_SIZE);
    strcpy(g->config.name, "test");
    g->vm.config = &g->config;
    list_init(&g->vm.devices);
    g->chip.ops = &chip_ops;
    g->vm.irqchip = &g->chip;
    if (gmem_init(&g->vm.gmem) != OK || io_bus_init(&g->vm.mmio) != OK) {
        abort();
    }
    g->ram[0] = (struct gmem_extent){.hpa = hpa((uintptr_t)g->mem + KIB(512)), .size = KIB(512)};
    g->ram[1] = (struct gmem_extent){.offset = KIB(512), .hpa = hpa((uintptr_t)g->mem), .size = KIB(512)};
    g->rom = (struct gmem_extent){.hpa = hpa((uintptr_t)g->mem + RAM_SIZE), .size = ROM_SIZE};
    struct gmem_region ram = {.base = gpa(RAM_BASE),
                              .size = RAM_SIZE,
                              .kind = GMEM_RAM,
                              .perm = PERM_R | PERM_W | PERM_X,
                              .extent_count = 2,
                              .extents = g->ram};
    struct gmem_region rom = {.base = gpa(ROM_BASE),
                              .size = ROM_SIZE,
                              .kind = GMEM_ROM,
                              .perm = PERM_R,
                              .extent_count = 1,
                              .extents = &g->rom};

    if (gmem_add(&g->vm.gmem, &ram) != OK || gmem_add(&g->vm.gmem, &rom) != OK) {
        abort();
    }
    return g;
}

static inline void guest_destroy(struct test_guest *g)
{
    io_bus_destroy(&g->vm.mmio);
    gmem_destroy(&g->vm.gmem);
    free(g->mem);
    free(g);
}

// A byte of the guest's RAM; what lies behind it is contiguous up to the seam.
static inline uint8_t *guest_at(struct test_guest *g, uint64_t addr)
{
    uint64_t off = addr - RAM_BASE;

    return g->mem + (off < KIB(512) ? off + KIB(512) : off - KIB(512));
}

static inline void guest_store16(struct test_guest *g, uint64_t addr, uint16_t v)
{
    memcpy(guest_at(g, addr), &v, sizeof(v));
}

static inline uint16_t guest_load16(struct test_guest *g, uint64_t addr)
{
    uint16_t v;

    memcpy(&v, guest_at(g, addr), sizeof(v));
    return v;
}

// ---- rings --------------------------------------------------------------------------------------

// Places a ring of `size` entries from `base` on (at most 16 KiB for size 512).
static inline struct test_ring ring_at(struct test_guest *g, uint64_t base, uint16_t size)
{
    struct test_ring r = {.g = g, .size = size, .desc = base};

    r.avail = base + 16u * size;
    r.used = align_up(r.avail + VIRTQ_AVAIL_SIZE(size), 4);
    return r;
}

static inline void desc_write(struct test_guest *g, uint64_t table, unsigned i, struct virtq_desc d)
{
    memcpy(guest_at(g, table + 16u * i), &d, sizeof(d));
}

static inline void ring_desc(struct test_ring *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                             uint16_t next)
{
    desc_write(r->g, r->desc, i, (struct virtq_desc){.addr = addr, .len = len, .flags = flags, .next = next});
}

// Makes a chain available.
static inline void ring_offer(struct test_ring *r, uint16_t head)
{
    guest_store16(r->g, r->avail + VIRTQ_AVAIL_RING(r->avail_idx % r->size), head);
    r->avail_idx++;
    guest_store16(r->g, r->avail + VIRTQ_AVAIL_IDX, r->avail_idx);
}

// Takes a used element; false when there is none.
static inline bool ring_take(struct test_ring *r, struct virtq_used_elem *out)
{
    if (guest_load16(r->g, r->used + VIRTQ_USED_IDX) == r->used_idx) {
        return false;
    }
    memcpy(out, guest_at(r->g, r->used + VIRTQ_USED_RING(r->used_idx % r->size)), sizeof(*out));
    r->used_idx++;
    return true;
}

// ---- registers ----------------------------------------------------------------------------------

static inline enum io_result guest_access(struct test_guest *g, uint64_t off, unsigned size, bool write,
                                          uint64_t *value)
{
    struct io_access a = {.size = (uint8_t)size, .write = write, .value = write ? *value : 0};
    struct io_cache cache = {0};
    enum io_result res = io_bus_access(&g->vm.mmio, &cache, MMIO_BASE + off, &a);

    *value = a.value;
    return res;
}

static inline uint32_t guest_read(struct test_guest *g, uint32_t off)
{
    uint64_t v = 0;

    if (guest_access(g, off, 4, false, &v) != IO_DONE) {
        abort();
    }
    return (uint32_t)v;
}

static inline void guest_write(struct test_guest *g, uint32_t off, uint32_t value)
{
    uint64_t v = value;

    if (guest_access(g, off, 4, true, &v) != IO_DONE) {
        abort();
    }
}

#define STATUS_UP_TO_FEATURES (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)

// Up to FEATURES_OK.
static inline void guest_negotiate(struct test_guest *g, uint64_t features)
{
    guest_write(g, VIRTIO_MMIO_STATUS, 0);
    guest_write(g, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE);
    guest_write(g, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    guest_write(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    guest_write(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
    guest_write(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    guest_write(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
    guest_write(g, VIRTIO_MMIO_STATUS, STATUS_UP_TO_FEATURES);
}

static inline void guest_queue_setup(struct test_guest *g, unsigned index, const struct test_ring *r)
{
    guest_write(g, VIRTIO_MMIO_QUEUE_SEL, index);
    guest_write(g, VIRTIO_MMIO_QUEUE_NUM, r->size);
    guest_write(g, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)r->desc);
    guest_write(g, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(r->desc >> 32));
    guest_write(g, VIRTIO_MMIO_QUEUE_DRIVER_LOW, (uint32_t)r->avail);
    guest_write(g, VIRTIO_MMIO_QUEUE_DRIVER_HIGH, (uint32_t)(r->avail >> 32));
    guest_write(g, VIRTIO_MMIO_QUEUE_DEVICE_LOW, (uint32_t)r->used);
    guest_write(g, VIRTIO_MMIO_QUEUE_DEVICE_HIGH, (uint32_t)(r->used >> 32));
    guest_write(g, VIRTIO_MMIO_QUEUE_READY, 1);
}

static inline void guest_driver_ok(struct test_guest *g)
{
    guest_write(g, VIRTIO_MMIO_STATUS, STATUS_UP_TO_FEATURES | VIRTIO_STATUS_DRIVER_OK);
}

static inline const struct plan_device *guest_place(void)
{
    static const struct plan_device place = {
        .name = "vda", .base = MMIO_BASE, .size = 0x200, .irq = MMIO_IRQ, .config_index = 0};

    return &place;
}
