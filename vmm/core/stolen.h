// SPDX-License-Identifier: Apache-2.0
//
// Stolen time: how long a vCPU could have run and did not, in pages that the guest may read (aarch64: Arm DEN0057, 4) or in
// memory that the guest names (riscv64: SBI 2.0, 16; x86_64: as KVM does it).
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

struct vcpu;
struct vm;

// Takes the pages and maps them, where the plan has a place for them. Worker thread.
enum status stolen_create(struct vm *vm);
// The stage-2 table is about to go.
void stolen_destroy(struct vm *vm);

// The guest asks where the record of this vCPU is, which is kept from now on; false: there is none. The vCPU's thread.
bool stolen_enable(struct vcpu *v, gpa_t *out);
// The guest wants the record of this vCPU in its own memory, 64 bytes at a multiple of 64, which are zeroed; no more when `at` is
// STOLEN_NOWHERE. E_INVAL: misaligned, no such layout. E_RANGE: no memory that it may write. The vCPU's thread.
#define STOLEN_NOWHERE UINT64_MAX
enum stolen_layout {
    STOLEN_SBI,
    STOLEN_KVM // of x86_64
};
enum status stolen_share(struct vcpu *v, gpa_t at, enum stolen_layout layout);
// Writes what has changed into the record. The vCPU's thread, before it enters the guest.
void stolen_update(struct vcpu *v);
// The vCPU starts afresh.
void stolen_reset(struct vcpu *v);
