// SPDX-License-Identifier: Apache-2.0
//
// Looking up a virtual board, and the keys of [vm.board].
#include "vmm/config/arch/board.h"

#include <string.h>

const struct board *board_find(const char *arch)
{
    static const struct board *const boards[] = {
        BOARD_BUILT("aarch64") ? &board_aarch64 : NULL,
        BOARD_BUILT("riscv64") ? &board_riscv64 : NULL,
        BOARD_BUILT("x86_64") ? &board_x86_64 : NULL,
    };

    for (unsigned i = 0; arch && i < ARRAY_SIZE(boards); i++) {
        if (boards[i] && strcmp(boards[i]->arch, arch) == 0) {
            return boards[i];
        }
    }
    return NULL;
}

const char *board_key_name(enum board_key key)
{
    static const char *const names[BOARD_KEY_COUNT] = {
        [BOARD_GICD] = "gicd",       [BOARD_GICR] = "gicr",
        [BOARD_GICC] = "gicc",       [BOARD_GITS] = "gits",
        [BOARD_UART] = "uart",       [BOARD_RTC] = "rtc",
        [BOARD_VIRTIO] = "virtio",   [BOARD_UART_IRQ] = "uart_irq",
        [BOARD_RTC_IRQ] = "rtc_irq", [BOARD_VIRTIO_IRQ] = "virtio_irq",
        [BOARD_PLIC] = "plic",       [BOARD_APLIC] = "aplic",
        [BOARD_IMSIC] = "imsic",
    };

    return (unsigned)key < BOARD_KEY_COUNT ? names[key] : NULL;
}

void board_set_key(struct schema_context *cx, const struct schema_key *key, void *target,
                   const struct toml_node *node)
{
    struct board_config *board = target;
    uint64_t v;

    if (!schema_uint(cx, key, node, &v)) {
        return;
    }
    board->value[key->arg] = v;
    board->pos[key->arg] = (struct config_pos){node->pos.line, node->pos.column};
    board->has |= UINT32_C(1) << key->arg;
}
