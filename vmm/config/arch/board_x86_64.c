// SPDX-License-Identifier: Apache-2.0
//
// The x86_64 board: a small PC. Its UART and clock are at I/O ports; RAM leaves a hole from 3 to 4 GiB.
#include "vmm/config/arch/board.h"

#define GSI_COUNT 24

static const struct schema_key keys[] = {
    BOARD_ROW_ADDRESS("virtio", BOARD_VIRTIO, 0x200),
    BOARD_ROW_IRQ("virtio_irq", BOARD_VIRTIO_IRQ, 16, GSI_COUNT - 8),
};

const struct board board_x86_64 = {
    .arch = "x86_64",
    .ram_base = 0,
    .ram_low_max = GIB(3),
    .ram_high = GIB(4),
    .ram_min = MIB(2),
    .gpa_bits = 40,
    .irq_word = "GSI",
    .irq_count = GSI_COUNT,
    .fixed_count = 3,
    .fixed =
        {
            {{"I/O APIC", 0xFEC00000, 0x1000}, BOARD_NO_KEY, IRQCHIP_AUTO, false},
            {{"HPET", 0xFED00000, 0x1000}, BOARD_NO_KEY, IRQCHIP_AUTO, false},
            {{"local APIC", 0xFEE00000, 0x1000}, BOARD_NO_KEY, IRQCHIP_AUTO, false},
        },
    .virtio_base = 0xFEB00000,
    .virtio_slots = 8,
    .virtio_slot_size = 0x200,
    .virtio_irq = 16,
    .device_count = 2,
    .devices =
        {
            {MODEL_UART, 0x3F8, 8, 4, BOARD_NO_KEY, BOARD_NO_KEY, true},
            {MODEL_RTC, 0x70, 2, 8, BOARD_NO_KEY, BOARD_NO_KEY, true},
        },
    .keys = {.name = "vm.board", SCHEMA_ROWS(keys)},
};
