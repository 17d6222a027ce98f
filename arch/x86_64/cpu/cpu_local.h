// SPDX-License-Identifier: Apache-2.0
//
// Between the files of arch/x86_64/cpu and its neighbours boot, mmu and virt.
#pragma once

#include "kernel/lib/types.h"

#define CPUS_MAX 256

// vectors.S
extern const char vector_stubs[]; // 256 entries of 16 bytes
void context_start(void);
bool probe_access(volatile uint32_t *va, uint32_t *value, bool write);
bool probe_rdmsr(uint32_t msr, uint64_t *out);

// desc.c: the CPUs that run, in the order of their start.
struct percpu;
unsigned percpu_count(void);
struct percpu *percpu_get(unsigned slot);

// lapic.c
void lapic_map(void); // boot CPU, before anything else here
void lapic_init_cpu(void);
bool lapic_is_x2apic(void);
uint32_t lapic_own_id(void);

// entropy.c: fills `out`, a multiple of 8 bytes, with random numbers of the CPU\'s. False: it has none, or they do not come.
bool cpu_entropy(uint8_t *out, unsigned size);

// time.c: the boot CPU calibrates both clocks, roughly at first; at the end of the boot, before there are guests, it measures
// the clock over that time. Every CPU prepares its timer.
void time_init(void);
void time_refine(void);
void time_init_cpu(void);
