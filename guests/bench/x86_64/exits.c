// SPDX-License-Identifier: Apache-2.0
//
// Synchronous exits: hypercalls, CPUID, emulated devices by port, MMIO and MSR; and what must not exit at all.
#include "guests/bench/x86_64/bench_ops.h"

#define UART_LSR 5u
#define IOAPIC_WINDOW 0xFEC00010u
#define APIC_ID_MSR (MSR_X2APIC + APIC_ID)

BATCH_FUNCTION(batch_nothing, "")
BATCH_FUNCTION(batch_call, "vmmcall")
BATCH_FUNCTION(batch_cpuid, "mov $1, %%eax\n\tcpuid")
BATCH_FUNCTION(batch_in, "mov %%esi, %%edx\n\tin %%dx, %%al")
BATCH_FUNCTION(batch_read, "mov (%%rsi), %%eax")
BATCH_FUNCTION(batch_rdmsr, "rdmsr")
BATCH_FUNCTION(batch_invlpg, "invlpg (%%rsi)")
BATCH_FUNCTION(batch_touch, "mov (%%rsi), %%eax\n\tadd %%rdi, %%rsi")

void role_calls(void)
{
    measure("vmmcall", batch_call, 0, 0, 0);
}

void role_exits(void)
{
    measure_first_touch(batch_touch);
    measure("nothing", batch_nothing, 0, 0, 0);
    measure("vmmcall", batch_call, 0, 0, 0);
    measure("cpuid", batch_cpuid, 0, 0, 1);
    measure("uart_lsr_read", batch_in, board.uart + UART_LSR, 0, 1);
    measure("ioapic_read", batch_read, IOAPIC_WINDOW, 0, 0);
    measure("apic_id_read", batch_rdmsr, APIC_ID_MSR, 0, 0);
    measure("virtio_magic_read", batch_read, board.virtio, 0, 0);
    measure("invlpg", batch_invlpg, board.ram_size / 2, 0, 0);
}
