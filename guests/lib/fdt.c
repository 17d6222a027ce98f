// SPDX-License-Identifier: Apache-2.0
//
// The least reader of a flattened device tree that finds the board's devices (Devicetree Specification 0.4, chapter 5).
//
// One walk over the structure block; a node is judged by its `compatible` and `device_type` when it ends or its first
// child begins. Two address and two size cells are taken for granted, as on every 64-bit virtual board.
#include "guests/lib/guest.h"

enum {
    FDT_BEGIN_NODE = 1,
    FDT_END_NODE = 2,
    FDT_PROP = 3,
    FDT_NOP = 4,
    FDT_END = 9
};
#define FDT_MAGIC 0xd00dfeedu
#define FDT_SIZE_MAX (2u << 20)

struct board board = {
    .uart = 0x09000000,
    .uart_irq = 33,
    .gicd = 0x08000000,
    .gicr = 0x080a0000,
    .gicc = 0x08010000,
    .ram_base = 0x40000000,
    .ram_size = 0,
    .rtc = 0x09010000,
};

struct node {
    const char *name;
    const char *compatible;
    uint32_t compatible_len;
    const uint8_t *reg;
    uint32_t reg_len;
    const uint8_t *interrupts;
    uint32_t interrupts_len;
    const char *bootargs;
    const uint8_t *timebase;
    bool memory;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static bool is_compatible(const struct node *n, const char *wanted)
{
    uint32_t at = 0;

    while (n->compatible && at < n->compatible_len) {
        if (text_equal(n->compatible + at, wanted)) {
            return true;
        }
        while (at < n->compatible_len && n->compatible[at]) {
            at++;
        }
        at++;
    }
    return false;
}

// The number of the first interrupt: one cell is a PLIC's source; of a GIC's three, type 0 is SPI (32 + n), type 1 PPI
// (16 + n).
static uint32_t first_interrupt(const struct node *n, uint32_t otherwise)
{
    if (n->interrupts_len == 4) {
        return be32(n->interrupts);
    }
    if (n->interrupts_len < 12) {
        return otherwise;
    }
    return be32(n->interrupts + 4) + (be32(n->interrupts) == 0 ? 32 : 16);
}

static uint64_t reg_base(const struct node *n, unsigned i)
{
    return n->reg_len >= 16 * (i + 1) ? be64(n->reg + 16 * (size_t)i) : 0;
}

static void judge_gic(const struct node *n)
{
    if (is_compatible(n, "arm,gic-v3") && n->reg_len >= 32) {
        board.gic_version = 3;
        board.gicd = reg_base(n, 0);
        board.gicr = reg_base(n, 1);
    } else if ((is_compatible(n, "arm,cortex-a15-gic") || is_compatible(n, "arm,gic-400")) &&
               n->reg_len >= 32) {
        board.gic_version = 2;
        board.gicd = reg_base(n, 0);
        board.gicc = reg_base(n, 1);
    }
}

static void judge(const struct node *n)
{
    if (n->bootargs) {
        text_copy(board.bootargs, sizeof(board.bootargs), n->bootargs);
    }
    if (n->timebase) {
        board.timebase = be32(n->timebase);
    }
    if (n->reg_len < 16) {
        return;
    }
    judge_gic(n);
    if (is_compatible(n, "arm,pl011") || is_compatible(n, "ns16550a")) {
        board.uart = reg_base(n, 0);
        board.uart_irq = first_interrupt(n, board.uart_irq);
    } else if (is_compatible(n, "arm,pl031") || is_compatible(n, "google,goldfish-rtc")) {
        board.rtc = reg_base(n, 0);
    } else if (is_compatible(n, "riscv,plic0") || is_compatible(n, "sifive,plic-1.0.0")) {
        board.plic = reg_base(n, 0);
    } else if (is_compatible(n, "virtio,mmio")) {
        if (!board.virtio || reg_base(n, 0) < board.virtio) {
            board.virtio = reg_base(n, 0);
        }
        board.virtio_stride = be64(n->reg + 8);
        board.virtio_count++;
    } else if (n->memory && (board.ram_size == 0 || reg_base(n, 0) < board.ram_base)) {
        board.ram_base = reg_base(n, 0);
        board.ram_size = be64(n->reg + 8);
    }
}

static void take_property(struct node *n, const char *name, const uint8_t *value, uint32_t len)
{
    if (text_equal(name, "compatible")) {
        n->compatible = (const char *)value;
        n->compatible_len = len;
    } else if (text_equal(name, "reg")) {
        n->reg = value;
        n->reg_len = len;
    } else if (text_equal(name, "interrupts")) {
        n->interrupts = value;
        n->interrupts_len = len;
    } else if (text_equal(name, "device_type")) {
        n->memory = len == 7 && text_equal((const char *)value, "memory");
    } else if (text_equal(name, "timebase-frequency") && len == 4) {
        n->timebase = value;
    } else if (text_equal(name, "bootargs") && len > 0 && value[len - 1] == 0) {
        n->bootargs = (const char *)value;
    }
}

bool board_from_fdt(const void *fdt)
{
    const uint8_t *blob = fdt;
    struct node node = {0};
    uint32_t size, at, strings;

    if (!fdt || ((uintptr_t)fdt & 7) || be32(blob) != FDT_MAGIC || be32(blob + 4) > FDT_SIZE_MAX) {
        return false;
    }
    size = be32(blob + 4);
    at = be32(blob + 8);
    strings = be32(blob + 12);
    board.fdt = fdt;
    while (at < size - 4) {
        uint32_t token = be32(blob + at);
        at += 4;
        if (token == FDT_BEGIN_NODE || token == FDT_END_NODE) {
            judge(&node);
            node = (struct node){.name = (const char *)blob + at};
            while (token == FDT_BEGIN_NODE && at < size && blob[at]) {
                at++;
            }
            at = token == FDT_BEGIN_NODE ? (at + 4) & ~3u : at;
        } else if (token == FDT_PROP) {
            uint32_t len = be32(blob + at), name = be32(blob + at + 4);
            if (len > size - at || name > size - strings) {
                return true;
            }
            take_property(&node, (const char *)blob + strings + name, blob + at + 8, len);
            at = (at + 8 + len + 3) & ~3u;
        } else if (token != FDT_NOP) {
            break;
        }
    }
    return true;
}
