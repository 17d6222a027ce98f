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
#define BLOCK_SIZE (2u << 20)

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

typedef uint64_t (*batch_function)(uint64_t n, uint64_t a, uint64_t b);

// `own`: instructions around the operation that are not part of it, beside the loop.
static void measure(const char *name, batch_function f, uint64_t a, uint64_t b, unsigned own)
{
    f(BATCH, a, b);
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add_batch(f(BATCH, a, b), BATCH, LOOP_OWN + own);
    }
    samples_report(name);
}

// Blocks of RAM that nobody has touched since this guest was made.
static void measure_first_touch(void)
{
    uint64_t first = (board.ram_base + board.ram_size / 2 + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
    uint64_t end = (board.ram_base + board.ram_size) & ~(uint64_t)(BLOCK_SIZE - 1);
    unsigned n = (unsigned)((end - first) / BLOCK_SIZE);

    if (first < end && n > 1) {
        samples_add_batch(batch_touch(n - 1, first, BLOCK_SIZE), n - 1, LOOP_OWN + 1);
        samples_report("first_touch_2m");
    }
}

void role_calls(void)
{
    measure("hvc_psci_version", batch_hvc, PSCI_VERSION, 0, 1);
}

void role_exits(void)
{
    measure_first_touch();
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
