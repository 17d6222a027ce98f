// SPDX-License-Identifier: Apache-2.0
//
// The virtual PLIC's state, shared by its two files: vplic.c decides, vplic_regs.c is the register map.
#pragma once

#include "kernel/sync/spinlock.h"
#include "vmm/core/vreg.h"
#include "vmm/irqchip/vplic.h"

#define VPLIC_WORDS (VPLIC_SOURCES / 32)
#define VPLIC_HART_MAX 256u
#define VPLIC_NOBODY UINT32_MAX

struct vplic;

// The S-mode context of one hart.
struct vplic_context {
    struct vplic *plic;
    unsigned hart;
    _Atomic bool output; // written under the lock
    uint8_t threshold;
    uint32_t enable[VPLIC_WORDS];
};

struct vplic {
    struct virqchip chip;    // first: the operations cast
    struct vreg_map low_map; // priorities and pending bits
    struct vreg_map ctx_map; // one context's threshold and claim
    struct spinlock lock;    // protects all below but the wiring
    uint64_t base;
    uint8_t priority[VPLIC_SOURCES];
    uint32_t pending[VPLIC_WORDS];
    uint32_t in_flight[VPLIC_WORDS];    // claimed, not completed
    uint32_t level[VPLIC_WORDS];        // the devices' lines
    uint32_t edge[VPLIC_WORDS];         // gateways that count edges
    uint32_t latched[VPLIC_WORDS];      // an edge waits
    uint16_t holder[VPLIC_SOURCES];     // hart + 1 that claimed it
    uint16_t enabled_by[VPLIC_SOURCES]; // how many contexts
    struct vplic_context contexts[];    // by hart
};

struct vplic_saved_context {
    uint32_t threshold;
    uint32_t enable[VPLIC_WORDS];
};

struct vplic_saved {
    uint32_t version, size;
    uint32_t hart_count, reserved;
    uint8_t priority[VPLIC_SOURCES];
    uint32_t pending[VPLIC_WORDS], in_flight[VPLIC_WORDS], latched[VPLIC_WORDS];
    uint32_t level[VPLIC_WORDS], edge[VPLIC_WORDS];
    uint16_t holder[VPLIC_SOURCES];
    struct vplic_saved_context contexts[]; // hart_count
};

static inline struct vplic *vplic_of(struct virqchip *chip)
{
    return (struct vplic *)(void *)chip;
}

static inline unsigned vplic_lowest(uint32_t bits)
{
    return (unsigned)__builtin_ctz(bits);
}

// Which bits of a word are sources: number 0 does not exist.
static inline uint32_t vplic_valid(unsigned word)
{
    return word == 0 ? ~UINT32_C(1) : UINT32_MAX;
}

// What a guest's access does; `self` is the vCPU that makes it. source < VPLIC_SOURCES for the priority.
uint32_t vplic_claim(struct vplic_context *c, unsigned self);
void vplic_complete(struct vplic_context *c, uint32_t source, unsigned self);
void vplic_write_enable(struct vplic_context *c, unsigned word, uint32_t value, unsigned self);
void vplic_write_threshold(struct vplic_context *c, uint32_t value, unsigned self);
void vplic_write_priority(struct vplic *p, unsigned source, uint32_t value, unsigned self);

enum status vplic_maps_create(struct vplic *p);
void vplic_maps_destroy(struct vplic *p);
enum io_result vplic_access(void *dev, struct io_access *a);
