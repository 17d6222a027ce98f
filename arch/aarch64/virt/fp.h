// SPDX-License-Identifier: Apache-2.0
//
// The guest's FP/SIMD registers. They are in the CPU only while the loaded vCPU has used them since its last load: its
// first FP instruction traps (CPTR_EL2.TFP), and arch_vcpu_put() stores them if that happened.
#pragma once

#include <asm/vcpu.h>

// Brings the loaded vCPU's registers into the CPU if they are not there (virt/vcpu.c).
void fp_use(struct arch_vcpu *av);

// virt/fp.S; only after fp_use(), or they trap.
void fp_save(struct guest_fp *fp);
void fp_load(const struct guest_fp *fp);
