// SPDX-License-Identifier: Apache-2.0
//
// State of the virtual GIC, private to vmm/irqchip.
//
// Interrupts are kept in blocks of 32 with one word for each property, so a register access is one word and
// the search for something to deliver is a few ANDs. A pending interrupt is either in its block (`latched`,
// or an asserted `line`) or in a list register (`in_lr`); while it is there, the block's `latched` means
// "once more", and set_active, drop_active and drop_pending are changes that the owner applies when it next
// looks at the list register.
//
// Who may touch what:
//   private block, list registers, `hw` of a vCPU      its own CPU, interrupts masked; anybody while it is
//                                                      not loaded and cannot be (reset, restore)
//   post[], sgi[], lines, ready, events                anybody, atomically
//   SPI blocks, affinity, target, holder, ctlr writes  vgic.lock (LOCK_VGIC_DIST); one-word reads need none
#pragma once

#include <stdatomic.h>

#include "drivers/irqchip/gic_virt.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sync/spinlock.h"
#include "vmm/core/irq_line.h"
#include "vmm/core/vreg.h"

#define VGIC_BLOCK_IRQS 32u
#define VGIC_BLOCK_MAX 32u // 1024 INTIDs
#define VGIC_PRIVATE 32u   // SGIs and PPIs
#define VGIC_INTID_LIMIT 1020u
#define VGIC_VCPU_MAX 256u
#define VGIC_NO_VCPU UINT16_MAX
#define VGIC_NO_SLOT 0xffu

#define GICD_MAP_SIZE 0x8000u // registers up to the last IROUTER; above it only identification
#define GICR_MAP_SIZE 0x1000u // used part of each 64 KiB redistributor frame
#define GIC_FRAME_SIZE 0x10000u
#define GICR_STRIDE 0x20000u
#define GIC_ID_OFFSET 0xffd0u
#define GIC_ID_SIZE 0x30u
#define GIC_PIDR2_ARCH_V3 0x3bu
#define GICV2_DIST_SIZE 0x1000u
#define GICV2_CPUIF_SIZE 0x2000u
#define GICV2_CPU_MAX 8u
#define GIC_PRIVATE_SGIS 0xffffu // in masks of the private block
#define GIC_WHICH_DIR 3u         // send_sgi(): a trapped write to ICC_DIR_EL1

#define VGIC_LR_STATE (LR_PENDING | LR_ACTIVE)
#define VGIC_MODE_LOADED 1u
#define VGIC_EOI_COUNT_SHIFT 27 // ICH_HCR_EL2.EOIcount
#define VGIC_EOI_COUNT_MASK 0x1fu

#define GICD_CTLR_GRP0 1u
#define GICD_CTLR_GRP1 2u
#define GICD_CTLR_ARE (1u << 4)
#define GICD_CTLR_DS (1u << 6)
#define GICR_WAKER_SLEEP 2u
#define GICR_WAKER_ASLEEP 4u
#define GIC_IIDR (0x4cu << 24 | 0x43bu) // product 'L', implementer Arm: the layout is Arm's

// What a register write does to the interrupts named by a mask. An operation and its inverse differ in bit
// 0.
enum vgic_op {
    VGIC_ENABLE,
    VGIC_DISABLE,
    VGIC_PEND,
    VGIC_UNPEND,
    VGIC_ACTIVATE,
    VGIC_DEACTIVATE,
    VGIC_GROUP1,
    VGIC_GROUP0,
    VGIC_EDGE,
    VGIC_LEVEL,
    VGIC_OP_COUNT
};

// Bits of vgic_cpu.events.
#define VGIC_EV_LOOK 1u // `ready` has grown, or an interrupt in a list register changed
#define VGIC_EV_POST 2u // post[], sgi[], prio[] or lines have changed
#define VGIC_EV_SGI 4u  // sgi[1] has

struct vgic_block {
    uint32_t enabled;
    uint32_t group;   // 1: group 1
    uint32_t edge;    // 1: edge-triggered
    uint32_t line;    // input level
    uint32_t latched; // pending from an edge, a register write or a forwarded host interrupt
    uint32_t active;  // as of the last look at the list registers
    uint32_t in_lr;
    uint32_t lr_pending; // as of the last look at the list registers
    uint32_t drop_pending, set_active, drop_active;
    uint32_t linked; // the physical interrupt host_irq[] is active until the guest deactivates this one
    union {
        uint8_t priority[VGIC_BLOCK_IRQS];
        uint32_t priority_word[VGIC_BLOCK_IRQS / 4]; // as in IPRIORITYR (little-endian machines)
    };
    uint16_t host_irq[VGIC_BLOCK_IRQS];
};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "priority_word, vgic_cpu.mode");

struct vgic;
struct vgic_cpu;

// An emulated CPU interface (vgic_cpuif.c): what GICH holds for a hardware one. vCPU's own CPU only.
struct vgic_cpuif {
    uint64_t lr[GIC_LR_MAX];
    uint32_t pending, active; // list registers by state
    uint32_t ended;           // ... that the guest emptied and that wanted this to be told
    uint32_t hcr, apr;
    uint32_t vmcr;         // changed by vgic_cpuif_set_vmcr() alone
    uint8_t group_mask[2]; // what follows from it: vgic_group_mask() of groups 0 and 1
    uint32_t lines;        // as given to arch_vcpu_set_irq(): not 0 exactly when `best` may be acknowledged
    uint32_t best;         // list register of the highest pending priority, GIC_LR_MAX when none
};

// What register functions get as their device: the distributor (cpu == NULL) or one redistributor.
struct vgic_frame {
    struct vgic *vgic;
    struct vgic_cpu *cpu;
};

struct vgic_cpu {
    struct vgic_frame frame; // its redistributor; first
    unsigned index;
    union {
        struct {
            bool loaded;
            bool stale;    // reset while it was loaded: the hardware still holds what was before
            bool by_parts; // its interface cannot be swapped in one call
            uint8_t zero;
        };
        uint32_t mode; // all of them, VGIC_MODE_LOADED: the first alone
    };
    uint32_t stale_linked; // ... and these physical interrupts are active
    uint32_t used;         // list registers that may hold something
    uint32_t soft;         // ... whose pending bit came from `latched`, not from a line alone
    uint32_t spi_lrs;      // ... that hold an SPI
    uint32_t backlog;      // blocks with interrupts that did not fit
    uint32_t fast;         // private interrupts whose list register was filled in passing, see vgic_fast.c
    uint32_t eoi_count;    // deactivations of interrupts not in list registers, not yet applied
    uint32_t waker;
    _Atomic bool asleep;        // the guest set ProcessorSleep: nothing reaches the CPU interface
    uint8_t slot[VGIC_PRIVATE]; // private interrupt's list register while in_lr
    struct vgic_block priv;
    struct gic_virt_state hw; // lr[]: what the list registers hold as far as known; 0: nothing
    struct vgic_cpuif cpuif;  // with g->emulated

    _Atomic uint32_t events;
    _Atomic uint32_t ready; // bit n: block n may have something for this vCPU
    _Atomic uint32_t lines, rises;
    _Atomic uint32_t sgi[2];    // 1: of any group, 0: of group 0
    _Atomic uint8_t source[16]; // GICv2: vCPUs whose SGI n waits here; an SGI is latched while there is one
    _Atomic uint32_t post[VGIC_OP_COUNT];
    _Atomic uint32_t prio_mask; // bit n: prio[n] holds a posted GICR_IPRIORITYR<n>
    _Atomic uint32_t prio[VGIC_PRIVATE / 4];
};

struct vgic {
    struct virqchip chip; // first
    const struct gic_virt_ops *hw;
    uint32_t lr_mask; // list registers there are
    unsigned lr_count;
    uint8_t priority_mask;
    uint32_t hcr;  // ICH_HCR_EL2 of a vCPU that has nothing waiting outside its list registers
    bool v2;       // GICv2: private registers are banked in GICD, SGIs know their sender
    bool emulated; // its CPU interface is vgic_cpuif.c, else GICV mapped into the guest
    unsigned block_count;
    _Atomic uint32_t ctlr; // group enables only
    struct spinlock lock;
    uint64_t gicd_base, gicr_base, gicc_base;
    struct vgic_frame frame; // the distributor's
    struct vreg_map dist_map, rd_map, sgi_map, id_map, gicc_map;
    struct vgic_cpu *cpus;
    struct vgic_block *spi;                             // spi[n - 1] is block n
    uint32_t affinity[VGIC_INTID_LIMIT - VGIC_PRIVATE]; // GICD_IROUTER: Aff2.Aff1.Aff0; GICv2: GICD_ITARGETSR
    uint16_t target[VGIC_INTID_LIMIT - VGIC_PRIVATE];   // the vCPU it names, VGIC_NO_VCPU when there is none
    uint16_t holder[VGIC_INTID_LIMIT - VGIC_PRIVATE];   // whose list register it is or was acknowledged in
};

static inline struct vgic *vgic_of(struct virqchip *chip)
{
    return container_of(chip, struct vgic, chip);
}

static inline uint32_t vgic_bit(unsigned irq)
{
    return UINT32_C(1) << (irq & 31);
}

// Implemented interrupts of a block: INTIDs 1020 to 1023 are special.
static inline uint32_t vgic_block_valid(unsigned block)
{
    return block == VGIC_BLOCK_MAX - 1 ? UINT32_MAX >> 4 : UINT32_MAX;
}

// The interrupt in a list register.
static inline unsigned vgic_lr_irq(uint64_t lr)
{
    return (unsigned)(lr & LR_INTID_MASK);
}

// The block of an interrupt as seen by one vCPU.
static inline struct vgic_block *vgic_block_of(struct vgic_cpu *cpu, unsigned irq)
{
    return irq < VGIC_PRIVATE ? &cpu->priv : &cpu->frame.vgic->spi[irq / 32 - 1];
}

static inline uint32_t vgic_pending_bits(const struct vgic_block *b)
{
    return b->latched | (b->line & ~b->edge);
}

// Interrupts whose group is enabled in GICD_CTLR.
static inline uint32_t vgic_group_bits(const struct vgic_block *b, uint32_t ctlr)
{
    return (ctlr & GICD_CTLR_GRP1 ? b->group : 0) | (ctlr & GICD_CTLR_GRP0 ? ~b->group : 0);
}

static inline uint32_t vgic_ctlr(struct vgic *g)
{
    return atomic_load_explicit(&g->ctlr, memory_order_relaxed);
}

// Pending, enabled, not active and not in a list register: to be offered.
static inline uint32_t vgic_candidates(const struct vgic_block *b, uint32_t ctlr)
{
    return vgic_pending_bits(b) & b->enabled & ~(b->active | b->in_lr) & vgic_group_bits(b, ctlr);
}

// vgic_regs_shared.c

// Applies one operation to a block, whose first INTID is `base`. Private block: on the owner's CPU; SPI
// block: lock held. Returns the interrupts for which somebody has to look again.
uint32_t vgic_block_apply(struct vgic_block *b, unsigned base, enum vgic_op op, uint32_t mask);
void vgic_block_reset(struct vgic_block *b, bool is_private);

// The physical interrupt behind a linked one is deactivated on the guest's behalf. Own CPU for private
// ones.
void vgic_unlink(struct vgic_block *b, unsigned irq);

// Row functions for both maps; `dev` is a struct vgic_frame.
uint64_t vgic_read_enabled(void *dev, const struct vreg_access *a);
uint64_t vgic_read_pending(void *dev, const struct vreg_access *a);
uint64_t vgic_read_active(void *dev, const struct vreg_access *a);
uint64_t vgic_read_group(void *dev, const struct vreg_access *a);
uint64_t vgic_read_config(void *dev, const struct vreg_access *a);
uint64_t vgic_read_priority(void *dev, const struct vreg_access *a);
void vgic_write_enable(void *dev, const struct vreg_access *a);
void vgic_write_disable(void *dev, const struct vreg_access *a);
void vgic_write_pend(void *dev, const struct vreg_access *a);
void vgic_write_unpend(void *dev, const struct vreg_access *a);
void vgic_write_activate(void *dev, const struct vreg_access *a);
void vgic_write_deactivate(void *dev, const struct vreg_access *a);
void vgic_write_group(void *dev, const struct vreg_access *a);
void vgic_write_config(void *dev, const struct vreg_access *a);
void vgic_write_priority(void *dev, const struct vreg_access *a);

// vgic_dist.c, vgic_redist.c

extern const struct vreg vgic_dist_rows[], vgic_id_rows[], vgic_rd_rows[], vgic_sgi_rows[];
extern const unsigned vgic_dist_row_count, vgic_id_row_count, vgic_rd_row_count, vgic_sgi_row_count;

// The distributor's frame is two regions, so that the registers proper need no distinction: dev is struct
// vgic.
enum io_result vgic_dist_access(void *dev, struct io_access *a);
enum io_result vgic_dist_high_access(void *dev, struct io_access *a); // from GICD_MAP_SIZE on
enum io_result vgic_redist_access(void *dev, struct io_access *a);    // dev: struct vgic

// The vCPU that a value of `affinity` names, VGIC_NO_VCPU when there is none.
uint16_t vgic_vcpu_of(const struct vgic *g, uint32_t affinity);

void vgic_write_ctlr(void *dev, const struct vreg_access *a);

// vgic_dist_v2.c

extern const struct vreg vgic_dist_v2_rows[];
extern const unsigned vgic_dist_v2_row_count;

enum io_result vgic_dist_v2_access(void *dev, struct io_access *a); // dev: struct vgic

// vgic_cpuif.c, vgic_cpuif_regs.c

extern const struct vreg vgic_gicc_rows[];
extern const unsigned vgic_gicc_row_count;
extern const struct gic_virt_ops vgic_cpuif_ops;

enum io_result vgic_gicc_access(void *dev, struct io_access *a); // dev: struct vgic
enum io_result vgic_dir_access(void *dev,
                               struct io_access *a); // dev: struct vgic; the page of GICC_DIR alone

// The guest deactivates `irq`: its own SGI or PPI, or an SPI, wherever that is active. Own CPU.
void vgic_deactivate(struct vgic_cpu *cpu, unsigned irq);

// Of the emulated interface: recompute what is pending and the interrupt lines, after any change.
void vgic_cpuif_update(struct vgic_cpu *cpu);
void vgic_cpuif_set_vmcr(struct vgic_cpuif *s, uint32_t vmcr);
void vgic_cpuif_hide(bool hidden); // the host's own, from the guest of an emulated one

// The lowest priority value that is still masked, and the running priority (0x100: idle), of an
// interface's VMCR and APR.
unsigned vgic_running_priority(uint32_t apr);
uint8_t vgic_group_mask(uint32_t vmcr, bool group1);

// vgic_route.c

// Tells a vCPU to flush before its next entry. Any CPU.
void vgic_post(struct vgic_cpu *cpu, uint32_t events);

// Where an SPI has to be dealt with now, VGIC_NO_VCPU when nowhere. Lock held.
uint16_t vgic_target(struct vgic *g, unsigned irq);

// SPIs `mask` of block `block` changed: makes those vCPUs look that have to. Lock held.
void vgic_spi_changed(struct vgic *g, unsigned block, uint32_t mask);

// Private interrupts changed, on the owner's CPU.
void vgic_private_changed(struct vgic_cpu *cpu, uint32_t mask);

// An interrupt left this vCPU's list registers: who has to look at it next? Own CPU; an SPI: lock held.
void vgic_route_again(struct vgic_cpu *cpu, unsigned irq);

static inline void vgic_make_ready(struct vgic_cpu *cpu, unsigned irq)
{
    atomic_fetch_or_explicit(&cpu->ready, vgic_bit(irq / 32), memory_order_relaxed);
}

// vgic_lr.c: all on the vCPU's own CPU, and with the lock held when an SPI is concerned

// Puts `irq`, which is not in a list register, into the free list register n, if it is deliverable or
// active.
void vgic_lr_insert(struct vgic_cpu *cpu, unsigned n, unsigned irq);

// Reads list register n back and makes it what its interrupt's block asks for now.
void vgic_lr_settle(struct vgic_cpu *cpu, unsigned n);

// The line of the level-triggered interrupt in list register n was lowered. False: a flush has to see to
// it.
bool vgic_lr_lowered(struct vgic_cpu *cpu, unsigned n);

// Takes the interrupt out of list register n, which has just been settled, to make room.
void vgic_lr_evict(struct vgic_cpu *cpu, unsigned n);

// The guest has emptied list register n: its interrupt is deactivated. Returns the interrupt.
unsigned vgic_lr_done(struct vgic_cpu *cpu, unsigned n);

// vgic_see.c

// What is pending and active of a block at this moment, list registers and posts of its vCPUs included,
// wherever they are. `owner`: whose private block it is; NULL: SPI block `block`. In an exit of vCPU `self`,
// no lock held.
struct vgic_seen {
    uint32_t pending, active;
};
struct vgic_seen vgic_see(struct vgic *g, struct vgic_cpu *owner, unsigned block, unsigned self);

// vgic_flush.c

// Folds back what the guest did with its list registers. Own CPU, lock held when one of them holds an SPI.
// Other vCPUs are told what concerns them; the caller offers what is in cpu->ready.
void vgic_sync(struct vgic_cpu *cpu);

// The first half of a flush: afterwards the blocks say what the list registers hold. The second half comes
// before the next entry. Own CPU, where the vCPU is loaded; no lock held. arg: struct vgic_cpu.
void vgic_look(void *arg);

void vgic_flush(struct virqchip *chip, unsigned vcpu);
void vgic_maintenance(struct virqchip *chip, unsigned vcpu);

// vgic_fast.c

// A private interrupt was latched on the owner's CPU: into a list register at once when that is simple.
void vgic_private_offer(struct vgic_cpu *cpu, unsigned irq);

// SGIs of group 1 were sent to this vCPU, on its own CPU.
void vgic_sgi_offer(struct vgic_cpu *cpu);

// An SPI's line was changed on the CPU of the vCPU that it concerns, in one of its exits: straight into
// its list registers when that is simple. False: the ordinary way. Lock held, interrupts masked.
bool vgic_spi_offer(struct vgic *g, unsigned irq, bool level);

bool vgic_forward(struct virqchip *chip, unsigned vcpu, unsigned line, unsigned host_irq);

// vgic_switch.c

void vgic_load(struct virqchip *chip, unsigned vcpu);
void vgic_put(struct virqchip *chip, unsigned vcpu);
void vgic_swap(struct virqchip *chip, unsigned from, struct virqchip *next, unsigned to);
bool vgic_pending(struct virqchip *chip, unsigned vcpu);
bool vgic_forwarded(struct virqchip *chip, unsigned vcpu, unsigned line);

// vgic_sgi.c

// What a GICv2 SGI in a list register is to hold: like other interrupts, but one sender at a time.
// The sender that an evicted or withdrawn pending SGI goes back to.
void vgic_sgi_return(struct vgic_cpu *cpu, unsigned irq, unsigned source);
// It is pending in a list register: what the same sender has sent since is the same pending interrupt.
void vgic_sgi_merge(struct vgic_cpu *cpu, unsigned irq, unsigned source);
// Takes the next sender of a latched SGI; false when there is none (any more).
bool vgic_sgi_take(struct vgic_cpu *cpu, unsigned irq, unsigned *source);
void vgic_sgi_send_v2(struct vgic *g, unsigned from, unsigned irq, uint32_t targets);

void vgic_send_sgi(struct virqchip *chip, unsigned vcpu, unsigned which, uint64_t value);

// vgic.c

void vgic_reset(struct virqchip *chip);

// vgic_save.c

uint32_t vgic_save(const struct virqchip *chip, void *buf, uint32_t size);
enum status vgic_restore(struct virqchip *chip, const void *buf, uint32_t size);
