// SPDX-License-Identifier: Apache-2.0
//
// GICv3 (Arm IHI 0069) or GICv2 (Arm IHI 0048) for one vCPU: all interrupts group 1, one priority.
#include "guests/lib/aarch64/cpu.h"

enum {
    GICD_CTLR = 0x0,
    GICD_IGROUPR = 0x80,
    GICD_ISENABLER = 0x100,
    GICD_IPRIORITYR = 0x400,
    GICD_ITARGETSR = 0x800,
    GICD_IROUTER = 0x6000,
};
enum {
    GICR_TYPER = 0x8,
    GICR_WAKER = 0x14,
    GICR_SGI_BASE = 0x10000,
    GICR_STRIDE = 0x20000
};
enum {
    GICC_CTLR = 0x0,
    GICC_PMR = 0x4,
    GICC_IAR = 0xc,
    GICC_EOIR = 0x10
};
#define GICD_ENABLE_GRP0 (1u << 0)
#define GICD_ENABLE_GRP1 (1u << 1)
#define GICD_ARE_NS (1u << 4)
#define WAKER_SLEEP (1u << 1)
#define WAKER_CHILDREN_ASLEEP (1u << 2)
#define TYPER_LAST (1u << 4)
#define SPI_FIRST 32u
#define PRIORITY 0xa0u
#define ICC_SRE_EL1 "S3_0_C12_C12_5"
#define ICC_PMR_EL1 "S3_0_C4_C6_0"
#define ICC_BPR1_EL1 "S3_0_C12_C12_3"
#define ICC_IGRPEN1_EL1 "S3_0_C12_C12_7"
#define ICC_IAR1_EL1 "S3_0_C12_C12_0"
#define ICC_EOIR1_EL1 "S3_0_C12_C12_1"
#define ID_GIC_SHIFT 24

static uint64_t redistributor;

const char *irq_controller(void)
{
    return board.gic_version == 2 ? "GICv2" : "GICv3";
}

// The frame whose affinity is ours; the first when none claims to be.
static uint64_t find_redistributor(void)
{
    uint64_t mpidr = read_sysreg("mpidr_el1");
    uint32_t affinity = (uint32_t)((mpidr & 0xffffff) | (mpidr >> 32 & 0xff) << 24);

    for (uint64_t frame = board.gicr;; frame += GICR_STRIDE) {
        uint64_t typer = mmio_read64(frame + GICR_TYPER);
        if (typer >> 32 == affinity) {
            return frame;
        }
        if (typer & TYPER_LAST) {
            return board.gicr;
        }
    }
}

static void setup_v3(void)
{
    write_sysreg(ICC_SRE_EL1, read_sysreg(ICC_SRE_EL1) | 1);
    __asm__ volatile("isb");
    mmio_write32(board.gicd + GICD_CTLR, GICD_ARE_NS | GICD_ENABLE_GRP1);
    redistributor = find_redistributor();
    mmio_write32(redistributor + GICR_WAKER, mmio_read32(redistributor + GICR_WAKER) & ~WAKER_SLEEP);
    while (mmio_read32(redistributor + GICR_WAKER) & WAKER_CHILDREN_ASLEEP) {
    }
    mmio_write32(redistributor + GICR_SGI_BASE + GICD_IGROUPR, 0xffffffff);
    write_sysreg(ICC_PMR_EL1, 0xff);
    write_sysreg(ICC_BPR1_EL1, 0);
    write_sysreg(ICC_IGRPEN1_EL1, 1);
    __asm__ volatile("isb");
}

static void setup_v2(void)
{
    mmio_write32(board.gicd + GICD_CTLR, GICD_ENABLE_GRP0 | GICD_ENABLE_GRP1);
    mmio_write32(board.gicc + GICC_PMR, 0xff);
    mmio_write32(board.gicc + GICC_CTLR, 1);
}

void irq_setup(void)
{
    if (board.gic_version == 0) {
        board.gic_version = (read_sysreg("id_aa64pfr0_el1") >> ID_GIC_SHIFT & 0xf) ? 3 : 2;
    }
    if (board.gic_version == 3) {
        setup_v3();
    } else {
        setup_v2();
    }
}

void irq_enable_line(uint32_t intid)
{
    uint64_t bank = board.gicd;

    if (board.gic_version == 3 && intid < SPI_FIRST) {
        bank = redistributor + GICR_SGI_BASE;
    } else if (board.gic_version == 3) {
        uint64_t mpidr = read_sysreg("mpidr_el1");
        mmio_write64(bank + GICD_IROUTER + 8 * (uint64_t)intid, mpidr & 0xff00ffffff);
        mmio_write32(bank + GICD_IGROUPR + 4 * (uint64_t)(intid / 32),
                     mmio_read32(bank + GICD_IGROUPR + 4 * (uint64_t)(intid / 32)) | 1u << intid % 32);
    } else if (intid >= SPI_FIRST) {
        mmio_write8(bank + GICD_ITARGETSR + intid, 1);
    }
    mmio_write8(bank + GICD_IPRIORITYR + intid, PRIORITY);
    mmio_write32(bank + GICD_ISENABLER + 4 * (uint64_t)(intid / 32), 1u << intid % 32);
}

uint32_t gic_acknowledge(void)
{
    uint32_t iar;

    if (board.gic_version == 3) {
        iar = (uint32_t)read_sysreg(ICC_IAR1_EL1);
        __asm__ volatile("dsb sy" : : : "memory");
        return iar;
    }
    return mmio_read32(board.gicc + GICC_IAR);
}

void gic_end(uint32_t iar)
{
    if (board.gic_version == 3) {
        write_sysreg(ICC_EOIR1_EL1, iar);
        __asm__ volatile("isb");
    } else {
        mmio_write32(board.gicc + GICC_EOIR, iar);
    }
}
