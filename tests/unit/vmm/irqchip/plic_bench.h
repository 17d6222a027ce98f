// SPDX-License-Identifier: Apache-2.0
//
// A bench for the virtual PLIC: a VM without guest, whose vCPUs' lines are looked at. An access is made as
// the vCPU it names would make it; a notification is answered by a flush when the test says so.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vplic.h"

#define PLIC_BASE UINT64_C(0x0c000000)
#define PLIC_SIZE UINT64_C(0x600000)
#define PLIC_HARTS_MAX 8u

struct plic_bench {
    struct vm vm;
    struct vm_config config;
    struct vcpu vcpus[PLIC_HARTS_MAX];
    struct vcpu *table[PLIC_HARTS_MAX];
    struct io_cache cache;
    struct virqchip *chip;
    bool notified[PLIC_HARTS_MAX];
};

static struct plic_bench bench;

static inline void plic_notify(struct vm *vm, unsigned vcpu)
{
    (void)vm;
    bench.notified[vcpu] = true;
}

static inline bool plic_start(unsigned harts)
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
    if (io_bus_init(&bench.vm.mmio) != OK ||
        vplic_create(&bench.vm, PLIC_BASE, PLIC_SIZE, &bench.chip) != OK) {
        return false;
    }
    bench.chip->notify = plic_notify;
    bench.vm.irqchip = bench.chip;
    return true;
}

static inline void plic_stop(void)
{
    bench.chip->ops->destroy(bench.chip);
    io_bus_destroy(&bench.vm.mmio);
}

static inline enum io_result plic_access(unsigned vcpu, uint64_t off, struct io_access *a)
{
    a->vcpu = (uint16_t)vcpu;
    return io_bus_access(&bench.vm.mmio, &bench.cache, PLIC_BASE + off, a);
}

static inline uint32_t plic_read(unsigned vcpu, uint64_t off)
{
    struct io_access a = {.size = 4, .value = 0xdeadbeef};

    if (plic_access(vcpu, off, &a) != IO_DONE) {
        abort();
    }
    return (uint32_t)a.value;
}

static inline void plic_write(unsigned vcpu, uint64_t off, uint32_t value)
{
    struct io_access a = {.size = 4, .value = value, .write = true};

    if (plic_access(vcpu, off, &a) != IO_DONE) {
        abort();
    }
}

#define PRIORITY(source) (4u * (source))
#define PENDING(word) (0x1000u + 4u * (word))
#define ENABLE(context, word) (0x2000u + 0x80u * (context) + 4u * (word))
#define THRESHOLD(context) (0x200000u + 0x1000u * (context))
#define CLAIM(context) (THRESHOLD(context) + 4u)

static inline uint32_t plic_claim(unsigned vcpu)
{
    return plic_read(vcpu, CLAIM(VPLIC_CONTEXT_S(vcpu)));
}

static inline void plic_complete(unsigned vcpu, uint32_t source)
{
    plic_write(vcpu, CLAIM(VPLIC_CONTEXT_S(vcpu)), source);
}

static inline void plic_enable(unsigned vcpu, unsigned source, uint32_t priority)
{
    uint64_t reg = ENABLE(VPLIC_CONTEXT_S(vcpu), source / 32);

    plic_write(vcpu, PRIORITY(source), priority);
    plic_write(vcpu, reg, plic_read(vcpu, reg) | UINT32_C(1) << source % 32);
}

static inline void plic_line(unsigned source, bool level)
{
    bench.chip->ops->set_line(bench.chip, source, level);
}

// What the vCPU's line says after it had the chance to look.
static inline bool plic_output(unsigned vcpu)
{
    if (bench.notified[vcpu]) {
        bench.notified[vcpu] = false;
        bench.chip->ops->flush(bench.chip, vcpu);
    }
    return (bench.vcpus[vcpu].arch.irq_lines & VCPU_LINE_IRQ) != 0;
}
