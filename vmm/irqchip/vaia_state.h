// SPDX-License-Identifier: Apache-2.0
//
// The virtual AIA's state, shared by its files: vaplic.c (wires), vimsic.c (messages), vaia.c (the object).
#pragma once

#include "arch/virt.h"
#include "kernel/sync/spinlock.h"
#include "vmm/core/vreg.h"
#include "vmm/irqchip/vaia.h"

#define VAIA_WORDS (VAIA_SOURCES / 32)
#define VAIA_FILE_WORDS IRQ_FILE_WORDS
#define VAIA_HART_MAX 256u
#define VAIA_NOBODY UINT32_MAX

struct vaplic {
    uint32_t enabled; // domaincfg.IE
    uint8_t mode[VAIA_SOURCES];
    uint32_t target[VAIA_SOURCES];
    uint32_t pending[VAIA_WORDS], enable[VAIA_WORDS];
    uint32_t level[VAIA_WORDS]; // the devices' wires
};

struct vaia_hart {
    struct irq_file file;
    bool in_hardware;    // while the vCPU is loaded: the state is in the machine's file, `file` is stale
    _Atomic bool output; // written under the lock
};

struct vaia {
    struct virqchip chip; // first: the operations cast
    struct vreg_map aplic_map;
    const struct irq_file_ops *files; // of the machine; NULL: none
    struct spinlock lock;             // protects the state below
    uint64_t aplic_base, imsic_base;
    struct vaplic aplic;
    struct vaia_hart harts[];
};

static inline struct vaia *vaia_of(struct virqchip *chip)
{
    return (struct vaia *)(void *)chip;
}

static inline uint32_t vaia_bit(unsigned source)
{
    return UINT32_C(1) << source % 32;
}

// A message arrives at a vCPU's file; hart and identity may be anything. `self`: the vCPU that made it
// happen.
void vimsic_deliver_locked(struct vaia *v, unsigned hart, unsigned id, unsigned self);
// The vCPU is loaded, or about to leave its CPU.
void vimsic_load(struct virqchip *chip, unsigned vcpu);
void vimsic_put(struct virqchip *chip, unsigned vcpu);
bool vimsic_pending(struct virqchip *chip, unsigned vcpu);
// The file changed: works out the output, tells the vCPU.
void vimsic_update_locked(struct vaia *v, unsigned hart, unsigned self);
enum io_result vimsic_access(void *dev, struct io_access *a);
bool vimsic_sysreg(struct virqchip *chip, unsigned vcpu, unsigned number, bool write, uint64_t set,
                   uint64_t clear, uint64_t *old);

void vaplic_set_line(struct virqchip *chip, unsigned line, bool level);
// Sends what is pending, enabled and not held back.
void vaplic_forward_locked(struct vaia *v, unsigned source, unsigned self);
enum io_result vaplic_access(void *dev, struct io_access *a);
enum status vaplic_map_create(struct vreg_map *map);
// The mode a guest could have written, the target likewise.
uint8_t vaplic_mode(uint32_t sourcecfg);
uint32_t vaplic_target(const struct vaia *v, uint32_t value);
