// SPDX-License-Identifier: Apache-2.0
//
// The aarch64 board: the memory map of QEMU's `virt` machine.
#include "vmm/config/arch/board.h"

#define SPI_COUNT 256

static void refuse_its(struct schema_context *cx, const struct schema_key *key, void *target,
                       const struct toml_node *node)
{
    (void)key;
    (void)target;
    schema_complain(cx, node->pos, "vm.board.gits: guests have no interrupt translation service yet");
}

static const struct schema_key keys[] = {
    BOARD_ROW_ADDRESS("gicd", BOARD_GICD, 0x1000),
    BOARD_ROW_ADDRESS("gicr", BOARD_GICR, 0x10000),
    BOARD_ROW_ADDRESS("gicc", BOARD_GICC, 0x1000),
    {.name = "gits", .type = SCHEMA_CUSTOM, .set = refuse_its},
    BOARD_ROW_ADDRESS("uart", BOARD_UART, 0x1000),
    BOARD_ROW_ADDRESS("rtc", BOARD_RTC, 0x1000),
    BOARD_ROW_ADDRESS("virtio", BOARD_VIRTIO, 0x200),
    BOARD_ROW_IRQ("uart_irq", BOARD_UART_IRQ, 0, SPI_COUNT - 1),
    BOARD_ROW_IRQ("rtc_irq", BOARD_RTC_IRQ, 0, SPI_COUNT - 1),
    BOARD_ROW_IRQ("virtio_irq", BOARD_VIRTIO_IRQ, 0, SPI_COUNT - 32),
};

const struct board board_aarch64 = {
    .arch = "aarch64",
    .ram_base = 0x40000000,
    .ram_min = MIB(2),
    .gpa_bits = 40,
    .irq_word = "SPI",
    .irq_first = 32,
    .irq_count = SPI_COUNT,
    .has_gic = true,
    .gicd_base = 0x08000000,
    .gicr_base = 0x080A0000,
    .gicc_base = 0x08010000,
    .stolen_base = 0x090A0000,
    .virtio_base = 0x0A000000,
    .virtio_slots = 32,
    .virtio_slot_size = 0x200,
    .virtio_irq = 16,
    .device_count = 2,
    .devices =
        {
            {MODEL_UART, 0x09000000, 0x1000, 1, BOARD_UART, BOARD_UART_IRQ, false},
            {MODEL_RTC, 0x09010000, 0x1000, 2, BOARD_RTC, BOARD_RTC_IRQ, false},
        },
    .keys = {.name = "vm.board", SCHEMA_ROWS(keys)},
};
