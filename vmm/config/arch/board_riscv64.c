// SPDX-License-Identifier: Apache-2.0
//
// The riscv64 board: the memory map of QEMU's `virt` machine.
#include "vmm/config/arch/board.h"

#define SOURCE_COUNT 96

static const struct schema_key keys[] = {
    BOARD_ROW_ADDRESS("plic", BOARD_PLIC, 0x1000),
    BOARD_ROW_ADDRESS("aplic", BOARD_APLIC, 0x1000),
    BOARD_ROW_ADDRESS("imsic", BOARD_IMSIC, 0x1000000), // hart numbers come from address bits
    BOARD_ROW_ADDRESS("uart", BOARD_UART, 0x100),
    BOARD_ROW_ADDRESS("rtc", BOARD_RTC, 0x1000),
    BOARD_ROW_ADDRESS("virtio", BOARD_VIRTIO, 0x1000),
    BOARD_ROW_IRQ("uart_irq", BOARD_UART_IRQ, 1, SOURCE_COUNT - 1),
    BOARD_ROW_IRQ("rtc_irq", BOARD_RTC_IRQ, 1, SOURCE_COUNT - 1),
    BOARD_ROW_IRQ("virtio_irq", BOARD_VIRTIO_IRQ, 1, SOURCE_COUNT - 8),
};

const struct board board_riscv64 = {
    .arch = "riscv64",
    .ram_base = 0x80000000,
    .ram_min = MIB(2),
    .gpa_bits = 40,
    .irq_word = "source",
    .irq_count = SOURCE_COUNT,
    .irq_low = 1,
    .has_plic = true,
    .fixed_count = 4,
    .fixed =
        {
            {{"PLIC", 0x0C000000, 0x600000}, BOARD_PLIC, IRQCHIP_PLIC, false},
            {{"APLIC", 0x0D000000, 0x8000}, BOARD_APLIC, IRQCHIP_AIA, false},
            {{"IMSIC", 0x28000000, 0x1000}, BOARD_IMSIC, IRQCHIP_AIA, true},
            {{"test device", 0x00100000, 0x1000}, BOARD_NO_KEY, IRQCHIP_AUTO, false},
        },
    .virtio_base = 0x10001000,
    .virtio_slots = 8,
    .virtio_slot_size = 0x1000,
    .virtio_irq = 1,
    .device_count = 2,
    .devices =
        {
            {MODEL_UART, 0x10000000, 0x100, 10, BOARD_UART, BOARD_UART_IRQ, false},
            {MODEL_RTC, 0x00101000, 0x1000, 11, BOARD_RTC, BOARD_RTC_IRQ, false},
        },
    .keys = {.name = "vm.board", SCHEMA_ROWS(keys)},
};
