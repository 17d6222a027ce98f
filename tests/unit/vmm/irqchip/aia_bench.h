// SPDX-License-Identifier: Apache-2.0
//
// A bench for the virtual AIA: a VM without guest, register and CSR accesses as its vCPUs would make them.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vaia.h"

#define APLIC UINT64_C(0x0d000000)
#define IMSIC UINT64_C(0x28000000)
#define AIA_HARTS_MAX 4u

struct aia_bench {
    struct vm vm;
    struct vm_config config;
    struct vcpu vcpus[AIA_HARTS_MAX];
    struct vcpu *table[AIA_HARTS_MAX];
    struct io_cache cache;
    struct virqchip *chip;
    bool notified[AIA_HARTS_MAX];
};

static struct aia_bench bench;

static inline void aia_notify(struct vm *vm, unsigned vcpu)
{
    (void)vm;
    bench.notified[vcpu] = true;
}

static inline bool aia_start(unsigned harts)
{
    memset(&bench, 0, sizeof(bench));
    strcpy(bench.config.name, "guest");
    bench.vm.config = &bench.config;
    bench.vm.vcpu_count = harts;
    bench.vm.vcpus = bench.table;
    for (unsigned i = 0; i < harts; i++) {
        bench.table[i] = &bench.vcpus[i];
        bench.vcpus[i].index = i;
    }
    if (io_bus_init(&bench.vm.mmio) != OK || vaia_create(&bench.vm, APLIC, IMSIC, &bench.chip) != OK) {
        return false;
    }
    bench.chip->notify = aia_notify;
    bench.vm.irqchip = bench.chip;
    return true;
}

static inline void aia_stop(void)
{
    bench.chip->ops->destroy(bench.chip);
    io_bus_destroy(&bench.vm.mmio);
}

static inline enum io_result aia_access(unsigned vcpu, uint64_t addr, struct io_access *a)
{
    a->vcpu = (uint16_t)vcpu;
    return io_bus_access(&bench.vm.mmio, &bench.cache, addr, a);
}

static inline uint32_t aia_read(uint64_t addr)
{
    struct io_access a = {.size = 4, .value = 0xdeadbeef};

    if (aia_access(0, addr, &a) != IO_DONE) {
        abort();
    }
    return (uint32_t)a.value;
}

static inline void aia_write(unsigned vcpu, uint64_t addr, uint32_t value)
{
    struct io_access a = {.size = 4, .value = value, .write = true};

    if (aia_access(vcpu, addr, &a) != IO_DONE) {
        abort();
    }
}

// csrrw; false: illegal instruction.
static inline bool aia_csr(unsigned vcpu, unsigned number, bool write, uint64_t value, uint64_t *old)
{
    return bench.chip->ops->sysreg(bench.chip, vcpu, number, write, value, UINT64_MAX, old);
}

static inline uint64_t aia_get(unsigned vcpu, unsigned select)
{
    uint64_t old;

    if (!aia_csr(vcpu, VAIA_SYSREG(VAIA_CSR_SIREG, select), false, 0, &old)) {
        abort();
    }
    return old;
}

static inline void aia_set(unsigned vcpu, unsigned select, uint64_t value)
{
    uint64_t old;

    if (!aia_csr(vcpu, VAIA_SYSREG(VAIA_CSR_SIREG, select), true, value, &old)) {
        abort();
    }
}

static inline unsigned aia_claim(unsigned vcpu)
{
    uint64_t old;

    if (!aia_csr(vcpu, VAIA_CSR_STOPEI, true, 0, &old)) {
        abort();
    }
    return (unsigned)(old >> 16);
}

// What the vCPU's line says after it had the chance to look.
static inline bool aia_output(unsigned vcpu)
{
    if (bench.notified[vcpu]) {
        bench.notified[vcpu] = false;
        bench.chip->ops->flush(bench.chip, vcpu);
    }
    return (bench.vcpus[vcpu].arch.irq_lines & VCPU_LINE_IRQ) != 0;
}
