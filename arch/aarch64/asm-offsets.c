// SPDX-License-Identifier: Apache-2.0
//
// Constants for the assembler files; the Makefile turns the marked lines of this file's assembly into a header.
#include <asm/vcpu.h>

#include "arch/aarch64/boot/boot.h"
#include "arch/cpu.h"
#include "arch/vcpu.h"

#define DEFINE(name, value) asm volatile("\n.ascii \"->" #name " %0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    DEFINE(FRAME_PC, offsetof(struct guest_frame, pc));
    DEFINE(FRAME_VCPU, offsetof(struct guest_frame, vcpu));
    DEFINE(FRAME_SIZE, (sizeof(struct guest_frame) + 15) & ~15ul);
    DEFINE(VCPU_REQUESTS, offsetof(struct arch_vcpu, requests));
    DEFINE(VCPU_UP, offsetof(struct arch_vcpu, up));
    DEFINE(UP_REQUESTS, offsetof(struct vcpu_upcalls, requests));
    DEFINE(UP_HOST_IRQ, offsetof(struct vcpu_upcalls, host_irq));
    DEFINE(CONTEXT_SP, offsetof(struct arch_context, sp));
    DEFINE(SECONDARY_ID, offsetof(struct secondary_boot, id));
    DEFINE(SECONDARY_SIZE, sizeof(struct secondary_boot));
    DEFINE(SECONDARY_READY_BITS, SECONDARY_READY);
    DEFINE(SECONDARY_COUNT, SECONDARY_MAX);
    DEFINE(EARLY_MAP_POOL_NEXT, offsetof(struct early_map, pool_next));
    DEFINE(FP_FPCR, offsetof(struct guest_fp, fpcr));
}
