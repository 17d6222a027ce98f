// SPDX-License-Identifier: Apache-2.0
//
// A virtual device.
//
// Its guest-visible state is one plain struct apart from its wiring (pointers, locks), with a version, so it
// can be saved and loaded. A device knows no transport and no interrupt controller: it drives irq_lines and
// calls back ends.
#pragma once

#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/irq_line.h"

struct vdev;
struct vm;

// What firmware tables say about a device beyond its place and interrupts.
struct vdev_desc {
    const char *node;       // FDT node name without address: "pl011"
    const char *compatible; // "arm,pl011\0arm,primecell", with its length
    uint32_t compatible_len;
    uint8_t clocks;          // number of references to the fixed clock
    const char *clock_names; // "uartclk\0apb_pclk", with its length
    uint32_t clock_names_len;
    uint32_t clock_frequency; // "clock-frequency", 0: none
    bool dma_coherent;
    bool is_console; // stdout-path may point here
};

struct vdev_ops {
    const char *model;
    uint32_t state_version;
    uint32_t state_size;
    void (*reset)(struct vdev *dev);   // to power-on; back ends stay attached
    void (*destroy)(struct vdev *dev); // after quiesce; frees everything
    // Stops new back-end work and waits for what is under way; worker thread. NULL: nothing to wait for.
    void (*quiesce)(struct vdev *dev);
    void (*describe)(const struct vdev *dev, struct vdev_desc *out); // NULL: not in the tables
    void (*save)(const struct vdev *dev,
                 void *state); // a consistent copy under the device's lock; NULL: plain copy
    enum status (*load)(struct vdev *dev,
                        const void *state); // checks completely, then commits; NULL: plain copy
};

struct vdev {
    const struct vdev_ops *ops;
    struct vm *vm;
    struct list_node node; // in vm->devices
    const char *name;      // "uart0", from the plan
    void *state;           // ops->state_size bytes
};

// `buf` holds ops->state_size bytes; the device's vCPUs are paused. save: E_RANGE when `buf` is too small.
// load: E_UNSUPPORTED for another version, E_INVAL for another size, else what ops->load says; nothing
// changes on failure.
enum status vdev_save(const struct vdev *dev, void *buf, uint32_t size);
enum status vdev_load(struct vdev *dev, uint32_t version, const void *buf, uint32_t size);
