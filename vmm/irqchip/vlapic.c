// SPDX-License-Identifier: Apache-2.0
//
// A virtual local APIC: acceptance, priorities, registers (Intel SDM vol. 3A, 11.4 to 11.8, 11.12).
//
// The registers belong to the vCPU: it alone reads and writes them. Others post vectors into IRR and tell it.
#include <string.h>

#include "arch/vcpu.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vapic_state.h"

#define VERSION 0x50014u // integrated, LVT entries up to 5
#define SVR_ENABLE 0x100u
#define SVR_RESET 0xFFu
#define SVR_WRITABLE 0x1FFu
#define DFR_RESET UINT32_MAX
#define DFR_FLAT_MASK 0x0FFFFFFFu
#define ICR_PENDING 0x1000u
#define ICR_WRITABLE 0xCDFFFu // without the delivery status
#define ICR_ASSERT 0x4000u
#define ICR_LEVEL 0x8000u // of no meaning but for INIT: commands are edges
#define ICR_SELF_ONLY 1u
#define LVT_WRITABLE 0x1F7FFu
#define ESR_ILLEGAL_RECEIVED 0x40u
#define PRIORITY 0xF0u
#define VECTOR_FIRST 16u

bool vlapic_is_enabled(const struct vlapic *a)
{
    return (a->regs.base & APIC_BASE_ENABLE) && (a->regs.svr & SVR_ENABLE);
}

bool vlapic_is_x2apic(const struct vlapic *a)
{
    return (a->regs.base & APIC_BASE_EXTD) != 0;
}

// ---- priorities ----------------------------------------

typedef uint64_t __attribute__((may_alias)) vectors; // two words at a time

// Of ISR or IRR: the highest vector that is set, or -1. Acquire: who finds a bit of IRR finds its trigger mode.
static inline int highest(const void *words)
{
    const vectors *v = words;

    _Static_assert(VLAPIC_WORDS == 8, "four pairs");
#pragma GCC unroll 4
    for (int i = 3; i >= 0; i--) {
        uint64_t bits = __atomic_load_n(&v[i], __ATOMIC_ACQUIRE);

        if (bits) {
            return i * 64 + (63 ^ __builtin_clzll(bits));
        }
    }
    return -1;
}

// Mostly nothing is in service.
static inline int highest_isr(const struct vlapic *a)
{
    const vectors *v = (const void *)a->regs.isr;

    return v[0] | v[1] | v[2] | v[3] ? highest(v) : -1;
}

// The processor priority: the task's, or the class of what is in service (11.8.3.1).
static inline uint32_t ppr(const struct vlapic *a)
{
    int isr = highest_isr(a);
    uint32_t service = isr < 0 ? 0 : (uint32_t)isr & PRIORITY;

    return (a->regs.tpr & PRIORITY) >= service ? a->regs.tpr : service;
}

static inline bool may_interrupt(const struct vlapic *a, unsigned vector)
{
    return (vector & PRIORITY) > (ppr(a) & PRIORITY);
}

static inline int best(const struct vlapic *a)
{
    int vector = highest(a->irr);

    return vector >= 0 && may_interrupt(a, (unsigned)vector) ? vector : -1;
}

static inline int deliverable(const struct vlapic *a)
{
    return vlapic_is_enabled(a) ? best(a) : -1;
}

bool vlapic_has_pending(const struct vlapic *a)
{
    return deliverable(a) >= 0;
}

static void set_line(const struct vlapic *a, bool level)
{
    arch_vcpu_set_irq(&a->vcpu->arch, level ? VCPU_LINE_IRQ : 0);
}

void vlapic_drive(struct vlapic *a)
{
    set_line(a, deliverable(a) >= 0);
}

void vlapic_flush(struct vlapic *a)
{
    uint32_t lines = deliverable(a) >= 0 ? VCPU_LINE_IRQ : 0;

    if (atomic_load_explicit(&a->nmi, memory_order_relaxed)) {
        atomic_store_explicit(&a->nmi, false, memory_order_relaxed);
        lines |= VCPU_LINE_NMI;
    }
    arch_vcpu_set_irq(&a->vcpu->arch, lines);
}

// Two that are not yet taken are one. The vCPU asks for it before its next entry, also when it is the sender.
void vlapic_post_nmi(struct vlapic *a)
{
    atomic_store_explicit(&a->nmi, true, memory_order_relaxed);
    if (a->apic->chip.notify) {
        a->apic->chip.notify(a->apic->chip.vm, a->index);
    }
}

// The line is up: the APIC is switched on. Once the highest is in service nothing else is deliverable, so the line falls with
// it; who posts a higher one now tells the vCPU again.
int vlapic_take(struct vlapic *a)
{
    int vector = best(a);

    if (vector >= 0) {
        uint32_t bit = UINT32_C(1) << vector % 32;

        atomic_fetch_and_explicit(&a->irr[vector / 32], ~bit, memory_order_relaxed);
        a->regs.isr[vector / 32] |= bit;
    }
    return vector;
}

// Release: who finds the bit finds its trigger mode.
static inline void request(struct vlapic *a, unsigned vector, bool level)
{
    uint32_t bit = UINT32_C(1) << vector % 32;

    if (level) {
        atomic_fetch_or_explicit(&a->tmr[vector / 32], bit, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&a->tmr[vector / 32], ~bit, memory_order_relaxed);
    }
    atomic_fetch_or_explicit(&a->irr[vector / 32], bit, memory_order_release);
}

// By its own vCPU.
static inline void post_own(struct vlapic *a, uint8_t vector, bool level)
{
    if (vector < VECTOR_FIRST) {
        a->regs.esr_next |= ESR_ILLEGAL_RECEIVED;
        return;
    }
    request(a, vector, level);
    if (may_interrupt(a, vector) && vlapic_is_enabled(a)) {
        set_line(a, true);
    }
}

void vlapic_post(struct vlapic *a, uint8_t vector, bool level, uint32_t sender)
{
    if (sender == a->index) {
        post_own(a, vector, level);
    } else if (vector >= VECTOR_FIRST && (level || !a->apic->pages || !vapic_page_post(a, vector))) {
        request(a, vector, level);
        if (a->apic->chip.notify) {
            a->apic->chip.notify(a->apic->chip.vm, a->index);
        }
    }
}

__attribute__((noinline)) static void eoi(struct vlapic *a)
{
    int vector = highest_isr(a);
    uint32_t bit;

    if (vector < 0) {
        return;
    }
    bit = UINT32_C(1) << vector % 32;
    a->regs.isr[vector / 32] &= ~bit;
    if (atomic_load_explicit(&a->tmr[vector / 32], memory_order_relaxed) & bit) {
        vioapic_eoi(a->apic, (uint8_t)vector, a->index);
    }
    vlapic_drive(a);
}

// ---- interrupt command register ----------------------------------------

static void send(struct vlapic *a, uint64_t icr)
{
    struct vapic_message m = {
        .vector = (uint8_t)icr,
        .mode = icr >> 8 & 7,
        .logical = icr >> 11 & 1,
        .wide = vlapic_is_x2apic(a),
        .destination = (uint32_t)(vlapic_is_x2apic(a) ? icr >> 32 : icr >> 56),
    };
    unsigned shorthand = icr >> 18 & 3;

    if (m.mode == MODE_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL) {
        return; // INIT level de-assert: only for processors of the last century
    }
    if (shorthand == 0) {
        vapic_deliver(a->apic, &m, a->index);
    }
    for (unsigned i = 0; shorthand && i < a->apic->chip.vcpu_count; i++) {
        bool self = i == a->index;

        if (shorthand == ICR_SELF_ONLY ? self : !self || shorthand == 2) {
            vapic_give(a->apic, i, &m, a->index);
        }
    }
}

// ---- registers ----------------------------------------

static uint32_t own_id(const struct vlapic *a)
{
    return vlapic_is_x2apic(a) ? a->index : a->index << 24;
}

// In x2APIC mode the logical ID follows from the physical one (11.12.10.2).
static uint32_t logical_id(const struct vlapic *a)
{
    return vlapic_is_x2apic(a) ? (a->index >> 4) << 16 | UINT32_C(1) << (a->index & 15) : a->regs.ldr;
}

static uint32_t read_word(const struct vlapic *a, unsigned reg)
{
    unsigned w = reg & 7;

    if (reg < REG_TMR) {
        return a->regs.isr[w];
    }
    return atomic_load_explicit(reg < REG_IRR ? &a->tmr[w] : &a->irr[w], memory_order_relaxed);
}

static bool read_reg(struct vlapic *a, unsigned reg, uint64_t *out)
{
    struct vlapic_regs *r = &a->regs;

    switch (reg) {
    case REG_ISR ... REG_ESR - 1:
        *out = read_word(a, reg);
        return true;
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        *out = r->lvt[reg - REG_LVT_TIMER];
        return true;
    case REG_ID:
        *out = own_id(a);
        return true;
    case REG_VERSION:
        *out = VERSION;
        return true;
    case REG_TPR:
        *out = r->tpr;
        return true;
    case REG_PPR:
        *out = ppr(a);
        return true;
    case REG_LDR:
        *out = logical_id(a);
        return true;
    case REG_DFR:
        *out = r->dfr;
        return !vlapic_is_x2apic(a);
    case REG_SVR:
        *out = r->svr;
        return true;
    case REG_ESR:
        *out = r->esr;
        return true;
    case REG_ICR:
        *out = vlapic_is_x2apic(a) ? r->icr : (uint32_t)r->icr;
        return true;
    case REG_ICR_HIGH:
        *out = r->icr >> 32;
        return !vlapic_is_x2apic(a);
    case REG_INITIAL:
        *out = vlapic_timer_initial(a);
        return true;
    case REG_CURRENT:
        *out = vlapic_timer_current(a);
        return true;
    case REG_DIVIDE:
        *out = a->clock.divide;
        return true;
    default:
        return false;
    }
}

__attribute__((noinline)) static void write_lvt(struct vlapic *a, unsigned i, uint32_t v)
{
    uint32_t writable = i == LVT_TIMER ? LVT_WRITABLE | LVT_TIMER_MODE : LVT_WRITABLE;

    a->regs.lvt[i] = (v & writable) | (a->regs.svr & SVR_ENABLE ? 0 : LVT_MASKED);
    if (i == LVT_TIMER) {
        vlapic_timer_mode_changed(a);
    }
}

__attribute__((noinline)) static void write_svr(struct vlapic *a, uint32_t v)
{
    a->regs.svr = v & SVR_WRITABLE;
    for (unsigned i = 0; !(v & SVR_ENABLE) && i < LVT_COUNT; i++) {
        a->regs.lvt[i] |= LVT_MASKED; // switched off by software (11.4.7.2)
    }
    vlapic_drive(a);
}

__attribute__((noinline)) static void write_icr(struct vlapic *a, uint64_t v)
{
    a->regs.icr = (v & ICR_WRITABLE) | (v & MASK64(32, 32));
    send(a, a->regs.icr);
}

// What x2APIC has not, or not to be written.
static bool write_logical(struct vlapic *a, unsigned reg, uint32_t v)
{
    if (vlapic_is_x2apic(a)) {
        return false;
    }
    if (reg == REG_LDR) {
        a->regs.ldr = v & 0xFF000000;
    } else {
        a->regs.dfr = v | DFR_FLAT_MASK;
    }
    return true;
}

static bool write_more(struct vlapic *a, unsigned reg, uint64_t v)
{
    switch (reg) {
    case REG_ICR:
        write_icr(a, vlapic_is_x2apic(a) ? v : (a->regs.icr & MASK64(32, 32)) | (uint32_t)v);
        return true;
    case REG_ICR_HIGH:
        if (!vlapic_is_x2apic(a)) {
            a->regs.icr = (uint32_t)a->regs.icr | v << 32;
        }
        return !vlapic_is_x2apic(a);
    case REG_INITIAL:
        vlapic_timer_set_initial(a, (uint32_t)v);
        return true;
    case REG_DIVIDE:
        vlapic_timer_set_divide(a, (uint32_t)v & 0xB);
        return true;
    default:
        return false;
    }
}

static bool write_reg(struct vlapic *a, unsigned reg, uint64_t v)
{
    struct vlapic_regs *r = &a->regs;

    switch (reg) {
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        write_lvt(a, reg - REG_LVT_TIMER, (uint32_t)v);
        return true;
    case REG_TPR:
        r->tpr = v & 0xFF;
        vlapic_drive(a);
        return true;
    case REG_EOI:
        eoi(a);
        return true;
    case REG_LDR:
    case REG_DFR:
        return write_logical(a, reg, (uint32_t)v);
    case REG_SVR:
        write_svr(a, (uint32_t)v);
        return true;
    case REG_ESR:
        r->esr = r->esr_next; // a write brings the errors up to date (11.5.3)
        r->esr_next = 0;
        return true;
    default:
        return write_more(a, reg, v);
    }
}

// Registers are 32 bits wide on 16-byte boundaries; a wider or unaligned access is undefined (11.4.1): it reads as 0.
enum io_result vlapic_access(void *dev, struct io_access *access)
{
    struct vapic *v = dev;
    struct vlapic *a = &v->lapics[access->vcpu];
    unsigned reg = (unsigned)(access->offset >> 4);
    bool ok = access->size == 4 && access->offset % 16 == 0 && !vlapic_is_x2apic(a);

    if (access->write) {
        ok = ok && write_reg(a, reg, access->value);
    } else {
        access->value = 0;
        ok = ok && read_reg(a, reg, &access->value);
    }
    if (!ok) {
        a->regs.esr_next |= ESR_ILLEGAL_REGISTER;
    }
    return IO_DONE;
}

// Off to xAPIC to x2APIC and off again; not from x2APIC back to xAPIC, nor from off straight to x2APIC (11.12.5).
static bool write_base(struct vlapic *a, uint64_t v)
{
    uint64_t mode = v & (APIC_BASE_ENABLE | APIC_BASE_EXTD), old = a->regs.base;
    uint64_t fixed = APIC_BASE_BSP | APIC_BASE_ENABLE | APIC_BASE_EXTD;

    if ((v & ~fixed) != (old & ~fixed) || mode == APIC_BASE_EXTD ||
        ((old & APIC_BASE_EXTD) && mode == APIC_BASE_ENABLE) ||
        (!(old & APIC_BASE_ENABLE) && mode == (APIC_BASE_ENABLE | APIC_BASE_EXTD))) {
        return false;
    }
    if ((old & APIC_BASE_ENABLE) && !mode) {
        vlapic_reset(a); // off: it forgets everything (11.4.3)
    }
    a->regs.base = (old & ~(uint64_t)(APIC_BASE_ENABLE | APIC_BASE_EXTD)) | mode;
    vlapic_drive(a);
    return true;
}

__attribute__((noinline)) static bool other_msr(struct vlapic *a, unsigned number, bool write, uint64_t v,
                                                uint64_t *old)
{
    if (number == VLAPIC_MSR_BASE) {
        *old = a->regs.base;
        return !write || write_base(a, v);
    }
    if (number == VLAPIC_MSR_DEADLINE) {
        *old = vlapic_timer_deadline(a);
        if (write) {
            vlapic_timer_set_deadline(a, v);
        }
        return true;
    }
    if (number == VLAPIC_CR8) {
        *old = a->regs.tpr >> 4;
        return !write || (v <= 15 && write_reg(a, REG_TPR, v << 4));
    }
    return false;
}

static bool self_ipi(struct vlapic *a, uint64_t v)
{
    post_own(a, (uint8_t)v, false);
    return true;
}

bool vlapic_msr(struct vlapic *a, unsigned number, bool write, uint64_t v, uint64_t *old)
{
    unsigned reg = number - VLAPIC_MSR_X2APIC;

    if (reg >= VLAPIC_X2APIC_REGS) {
        return other_msr(a, number, write, v, old);
    }
    if (!vlapic_is_x2apic(a) || (write && v > UINT32_MAX && reg != REG_ICR)) {
        return false;
    }
    if (!write) {
        return read_reg(a, reg, old);
    }
    return reg == REG_SELF_IPI ? self_ipi(a, v) : write_reg(a, reg, v);
}

// For vapic_page.c, which does so rarely.
bool vlapic_read(struct vlapic *a, unsigned reg, uint64_t *out)
{
    return read_reg(a, reg, out);
}

bool vlapic_write(struct vlapic *a, unsigned reg, uint64_t v)
{
    return write_reg(a, reg, v);
}

// 11.4.7.3, 11.12.5.1
void vlapic_init(struct vlapic *a)
{
    vlapic_timer_reset(a);
    a->regs = (struct vlapic_regs){.base = a->regs.base, .dfr = DFR_RESET, .svr = SVR_RESET};
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        a->regs.lvt[i] = LVT_MASKED;
    }
    for (unsigned w = 0; w < VLAPIC_WORDS; w++) {
        atomic_store_explicit(&a->irr[w], 0, memory_order_relaxed);
        atomic_store_explicit(&a->tmr[w], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&a->nmi, false, memory_order_relaxed);
    if (a->apic->pages) {
        vapic_page_reset(a);
    }
}

void vlapic_reset(struct vlapic *a)
{
    a->regs.base = a->apic->lapic_base | APIC_BASE_ENABLE | (a->index == 0 ? APIC_BASE_BSP : 0);
    vlapic_init(a);
}
