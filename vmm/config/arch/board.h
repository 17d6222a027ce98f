// SPDX-License-Identifier: Apache-2.0
//
// The virtual board of each architecture as data: the memory map that QEMU's `virt` machines (aarch64, riscv64) and a
// small PC (x86_64) have, and which keys of [vm.board] change it. docs/config.md shows it as a table.
#pragma once

#include "vmm/config/config.h"
#include "vmm/config/plan.h"
#include "vmm/config/schema.h"

#define BOARD_DEVICE_MAX 4
#define BOARD_NO_KEY BOARD_KEY_COUNT

// A device that every VM has.
struct board_device {
    enum vdev_model model;
    uint64_t base, size;
    uint32_t irq;
    enum board_key base_key, irq_key; // BOARD_NO_KEY: fixed
    bool port;                        // base counts I/O ports
};

struct board {
    const char *arch;
    uint64_t ram_base;
    uint64_t ram_low_max; // RAM of a plain `memory` beyond this continues at ram_high; 0: no split
    uint64_t ram_high;
    uint64_t ram_min;  // bytes, of one VM
    unsigned gpa_bits; // guest physical addresses end at 2^gpa_bits

    const char *irq_word; // "SPI"
    uint32_t irq_first;   // added to a configured number to give the plan's
    uint32_t irq_count;   // numbers below this are valid
    uint32_t irq_low;     // numbers below this are not

    bool has_gic;
    bool has_plic; // or AIA
    uint64_t gicd_base, gicr_base, gicc_base;
    uint64_t stolen_base; // of the records of stolen time, 0: none
    unsigned fixed_count;
    struct {
        struct plan_fixed area;
        enum board_key key;
        enum irqchip_kind only; // there with this controller alone; IRQCHIP_AUTO: always
        bool per_cpu;           // the size is that of one CPU's part
    } fixed[PLAN_FIXED_MAX];

    uint64_t virtio_base;
    unsigned virtio_slots;
    uint32_t virtio_slot_size;
    uint32_t virtio_irq; // of slot 0

    unsigned device_count;
    struct board_device devices[BOARD_DEVICE_MAX];

    struct schema_table keys; // [vm.board]
};

extern const struct board board_aarch64;
extern const struct board board_riscv64;
extern const struct board board_x86_64;

// NULL for an unknown architecture.
const struct board *board_find(const char *arch);

// "uart0" is the first device of MODEL_UART, and so on: the key that would move it ("uart"), NULL when none would.
const char *board_key_name(enum board_key key);

// Setter of the rows of [vm.board]: schema_key.arg is the enum board_key.
void board_set_key(struct schema_context *cx, const struct schema_key *key, void *target,
                   const struct toml_node *node);

#define BOARD_ROW_ADDRESS(name_, key_, align_)                                                 \
    {                                                                                          \
        .name = (name_), .type = SCHEMA_CUSTOM, .hex = true, .arg = (key_), .align = (align_), \
        .max = BIT64(40) - 1, .set = board_set_key                                             \
    }
#define BOARD_ROW_IRQ(name_, key_, min_, max_)                                               \
    {                                                                                        \
        .name = (name_), .type = SCHEMA_CUSTOM, .arg = (key_), .min = (min_), .max = (max_), \
        .set = board_set_key                                                                 \
    }
