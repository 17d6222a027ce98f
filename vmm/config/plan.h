// SPDX-License-Identifier: Apache-2.0
//
// The ownership plan of one VM: every guest physical address and interrupt number that exists in it, worked out from
// the configuration alone. Mappings, device creation, firmware tables and the isolation report all read this, so they
// cannot disagree. Pure: runs in vmconf and in the image.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/config/config.h"

#define PLAN_DEVICE_MAX (CONFIG_DEVICE_MAX + 8)
#define PLAN_REGION_MAX (CONFIG_REGION_MAX + 1) // x86_64 splits RAM around the hole below 4 GiB
#define PLAN_FIXED_MAX 4
#define PLAN_STOLEN_SIZE 64u

struct plan_region {
    uint64_t base, size;
    enum region_kind kind;
    int config_index; // into vm_config.regions, -1: from `memory`
};

struct plan_device {
    enum vdev_model model;
    char name[16];       // "uart0", "vda": stable, for listings
    uint64_t base, size; // registers
    uint32_t irq;        // aarch64: INTID (SPI n is 32 + n)
    int config_index;    // into vm_config.devices, -1 for the board's own
    int slot;            // virtio-mmio slot, -1: none
    bool port;           // base counts I/O ports (x86_64)
};

// Interrupt controllers and the like of boards without a GIC: in the map, made by the architecture.
struct plan_fixed {
    const char *name; // static
    uint64_t base, size;
};

struct plan_gic {
    unsigned
        version; // 2 or 3; 0: decided at boot from the host (GIC_AUTO), both layouts below are then valid
    uint64_t gicd_base, gicd_size;
    uint64_t gicr_base, gicr_size; // 2 x 64 KiB for each vCPU
    uint64_t gicc_base, gicc_size;
    unsigned spi_count;
};

struct vm_plan {
    unsigned region_count;
    struct plan_region regions[PLAN_REGION_MAX]; // sorted
    unsigned device_count;
    struct plan_device devices[PLAN_DEVICE_MAX];
    struct plan_gic gic;
    uint64_t virtio_base; // of slot 0
    unsigned virtio_slots;
    uint32_t virtio_slot_size;
    uint32_t virtio_irq; // of slot 0, following slots count up
    int console;         // index of the console device, -1 when none
    unsigned fixed_count;
    struct plan_fixed fixed[PLAN_FIXED_MAX];
    uint64_t
        stolen_base; // PLAN_STOLEN_SIZE bytes for each vCPU: what others took of its time; 0: there are none
};

// The whole window of virtio slots is taken, used or not; a virtio device with a `base` of its own lies outside it.
// E_CONFIG when things overlap or do not fit: `errors` then names both sides and the key that would change it.
enum status plan_build(struct vm_plan *out, const struct vm_config *config, const char *arch,
                       struct config_errors *errors);

// The fixed area of that name; NULL: this board has none.
const struct plan_fixed *plan_find_fixed(const struct vm_plan *plan, const char *name);

// What lies at a guest physical address, in words, for fault cards: "RAM", "uart0", "hole below RAM"; never NULL.
const char *plan_describe(const struct vm_plan *plan, uint64_t gpa);
