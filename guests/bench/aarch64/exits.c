// SPDX-License-Identifier: Apache-2.0
//
// Synchronous exits: calls, trapped registers, emulated devices; and what must not exit at all.
#include "guests/bench/aarch64/bench_ops.h"

#define PSCI_VERSION 0x84000000u
#define PSCI_FEATURES 0x8400000au
#define SMCCC_VERSION 0x80000000u
#define UNKNOWN_CALL 0xc6001234u
#define GICD_TYPER 0x4u
#define GICD_IPRIORITYR_SPI 0x440u // INTID 64: nobody's
#define PL011_FR 0x18u

BATCH_FUNCTION(batch_nothing, "")
BATCH_FUNCTION(batch_hvc, "mov x0, %[a]\n\thvc #0")
BATCH_FUNCTION(batch_smc, "mov x0, %[a]\n\tsmc #0")
BATCH_FUNCTION(batch_read32, "ldr w0, [%[a]]")
BATCH_FUNCTION(batch_write32, "mov w1, %w[b]\n\tstr w1, [%[a]]") // x19 and up cost more: design section 4
BATCH_FUNCTION(batch_idreg, "mrs x0, id_aa64pfr0_el1")
BATCH_FUNCTION(batch_cntvct, "mrs x0, cntvct_el0")
BATCH_FUNCTION(batch_cntpct, "mrs x0, cntpct_el0")
BATCH_FUNCTION(batch_tlbi, "tlbi vmalle1")
BATCH_FUNCTION(batch_touch, "ldr w0, [%[a]]\n\tadd %[a], %[a], %[b]")

void role_calls(void)
{
    measure("hvc_psci_version", batch_hvc, PSCI_VERSION, 0, 1);
}

void role_exits(void)
{
    measure_first_touch(batch_touch);
    measure("nothing", batch_nothing, 0, 0, 0);
    measure("hvc_psci_version", batch_hvc, PSCI_VERSION, 0, 1);
    measure("hvc_psci_features", batch_hvc, PSCI_FEATURES, 0, 1);
    measure("hvc_smccc_version", batch_hvc, SMCCC_VERSION, 0, 1);
    measure("smc_psci_version", batch_smc, PSCI_VERSION, 0, 1);
    measure("hvc_unknown", batch_hvc, UNKNOWN_CALL, 0, 1);
    measure("gicd_typer_read", batch_read32, board.gicd + GICD_TYPER, 0, 0);
    measure("gicd_ipriorityr_write", batch_write32, board.gicd + GICD_IPRIORITYR_SPI, 0xa0a0a0a0, 1);
    measure("pl011_fr_read", batch_read32, board.uart + PL011_FR, 0, 0);
    if (board.virtio) {
        measure("virtio_magic_read", batch_read32, board.virtio, 0, 0);
    }
    measure("id_register_read", batch_idreg, 0, 0, 0);
    measure("cntvct_read", batch_cntvct, 0, 0, 0);
    measure("cntpct_read", batch_cntpct, 0, 0, 0);
    measure("tlbi", batch_tlbi, 0, 0, 0);
}
