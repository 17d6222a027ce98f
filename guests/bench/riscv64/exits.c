// SPDX-License-Identifier: Apache-2.0
//
// Synchronous exits: firmware calls (SBI 2.0) and emulated devices; and what must not exit at all.
#include "guests/bench/riscv64/bench_ops.h"

#define UNKNOWN_EXTENSION 0x0a123456u
#define PLIC_PRIORITY_1 0x4u
#define UART_LSR 5u

BATCH_FUNCTION(batch_nothing, "")
BATCH_FUNCTION(batch_call, "ecall")
BATCH_FUNCTION(batch_set_timer, "li a0, -1\n\tecall")
BATCH_FUNCTION(batch_call_self, "li a0, 1\n\tli a1, 0\n\tecall") // hart mask, base
BATCH_FUNCTION(batch_read32, "lw a0, (a7)")
BATCH_FUNCTION(batch_read8, "lbu a0, (a7)")
BATCH_FUNCTION(batch_stimecmp, "csrw " STIMECMP ", a7")
BATCH_FUNCTION(batch_time, "csrr a0, time")
BATCH_FUNCTION(batch_sfence, "sfence.vma")
BATCH_FUNCTION(batch_touch, "lw a0, (a7)\n\tadd a7, a7, a6")

void role_calls(void)
{
    measure("sbi_spec_version", batch_call, SBI_BASE, 0, 0);
}

void role_exits(void)
{
    measure_first_touch(batch_touch);
    measure("nothing", batch_nothing, 0, 0, 0);
    measure("sbi_spec_version", batch_call, SBI_BASE, 0, 0);
    measure("sbi_unknown", batch_call, UNKNOWN_EXTENSION, 0, 0);
    measure("sbi_set_timer", batch_set_timer, SBI_TIME, 0, 1);
    measure("sbi_remote_sfence", batch_call_self, SBI_RFENCE, RFENCE_SFENCE_VMA, 2);
    if (has_stimecmp()) {
        measure("stimecmp_write", batch_stimecmp, UINT64_MAX, 0, 0);
    }
    if (board.plic) {
        measure("plic_read", batch_read32, board.plic + PLIC_PRIORITY_1, 0, 0);
    }
    measure("uart_lsr_read", batch_read8, board.uart + UART_LSR, 0, 0);
    if (board.virtio) {
        measure("virtio_magic_read", batch_read32, board.virtio, 0, 0);
    }
    measure("time_read", batch_time, 0, 0, 0);
    measure("sfence", batch_sfence, 0, 0, 0);
}
