// SPDX-License-Identifier: Apache-2.0
//
// Between the files of the virtual APICs: vapic.c (the controller as the core sees it, and who gets an interrupt), vlapic.c,
// vlapic_timer.c, vioapic.c.
#pragma once

#include <stdatomic.h>

#include "arch/virt.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"
#include "vmm/core/io_bus.h"
#include "vmm/irqchip/vapic.h"

#define VAPIC_NOBODY UINT32_MAX
#define VLAPIC_WORDS 8u // 256 vectors

enum vlapic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERFORMANCE,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT
};

#define LVT_VECTOR 0xFFu
#define LVT_MASKED 0x10000u
#define LVT_TIMER_MODE 0x60000u
#define LVT_TIMER_PERIODIC 0x20000u
#define LVT_TIMER_DEADLINE 0x40000u

// Register numbers: offset / 16.
enum vlapic_reg {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_PPR = 0x0A,
    REG_EOI = 0x0B,
    REG_LDR = 0x0D,
    REG_DFR = 0x0E,
    REG_SVR = 0x0F,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT_TIMER = 0x32,
    REG_LVT_ERROR = 0x37,
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3E,
    REG_SELF_IPI = 0x3F // x2APIC only
};

#define ESR_ILLEGAL_REGISTER 0x80u

#define APIC_BASE_BSP 0x100u
#define APIC_BASE_EXTD 0x400u
#define APIC_BASE_ENABLE 0x800u

// Delivery modes (SDM 11.6.1)
enum vapic_mode {
    MODE_FIXED = 0,
    MODE_LOWEST = 1,
    MODE_SMI = 2,
    MODE_NMI = 4,
    MODE_INIT = 5,
    MODE_STARTUP = 6,
    MODE_EXTINT = 7
};

// What the guest wrote; touched by the vCPU itself only, but for what is said.
struct vlapic_regs {
    uint64_t base; // IA32_APIC_BASE
    uint32_t tpr, ldr, dfr, svr, esr, esr_next;
    uint64_t icr;
    uint32_t lvt[LVT_COUNT]; // the timer's also by its callback, under the lock
    _Alignas(uint64_t) uint32_t isr[VLAPIC_WORDS];
};

struct vlapic_clock { // under the lock
    uint32_t divide;  // the register
    uint32_t initial;
    uint64_t started;  // host ticks; of a count
    uint64_t deadline; // host ticks; 0: nothing is armed
};

// The hardware's side (vapic_page.c).
struct vlapic_page {
    enum apic_mode mode;
    uint32_t reported[VLAPIC_WORDS]; // whose end the hardware reports
    _Atomic bool open;               // others may post to the hardware: the APIC is switched on
};

struct vapic;

struct vlapic {
    struct vapic *apic;
    struct vcpu *vcpu; // whose it is: vCPU number `index`
    unsigned index;
    struct vlapic_regs regs;
    _Alignas(uint64_t) _Atomic uint32_t irr[VLAPIC_WORDS]; // set by anybody, cleared by its vCPU
    _Atomic uint32_t tmr[VLAPIC_WORDS];
    _Atomic bool nmi;     // set by anybody, cleared when its vCPU is told
    struct spinlock lock; // clock
    struct vlapic_clock clock;
    struct timer timer;
    struct vlapic_page page; // of use where apic->pages is
};

struct vioapic {
    uint32_t select, id;
    uint64_t entries[VIOAPIC_PINS];
    uint32_t levels; // of the inputs, by bit
};

struct vapic {
    struct virqchip chip;
    uint64_t lapic_base, ioapic_base;
    struct spinlock lock; // I/O APIC
    struct vioapic io;
    const struct apic_page_ops *pages; // NULL: software does everything
    void *access_page;                 // what the guest has at lapic_base; NULL: nothing
    struct vlapic lapics[];
};

static inline struct vapic *vapic_of(struct virqchip *chip)
{
    return (struct vapic *)(void *)((char *)chip - offsetof(struct vapic, chip));
}

struct vapic_message {
    uint32_t destination; // xAPIC: 8 bits; x2APIC ICR: 32
    uint8_t vector, mode;
    bool logical, level;
    bool wide; // the destination is an x2APIC one
};

// vapic.c: gives the message to whom it is for; `sender` is a vCPU's index or VAPIC_NOBODY.
void vapic_deliver(struct vapic *v, const struct vapic_message *m, uint32_t sender);
// One local APIC gets it. INIT and start-up messages too.
void vapic_give(struct vapic *v, unsigned index, const struct vapic_message *m, uint32_t sender);

// vlapic.c
void vlapic_reset(struct vlapic *a);
void vlapic_init(struct vlapic *a); // INIT: the mode that it is in stays
void vlapic_post(struct vlapic *a, uint8_t vector, bool level, uint32_t sender);
void vlapic_post_nmi(struct vlapic *a);
bool vlapic_has_pending(const struct vlapic *a);
int vlapic_take(struct vlapic *a);
void vlapic_drive(struct vlapic *a); // tells its own vCPU's line
void vlapic_flush(struct vlapic *a); // likewise, and of NMIs
bool vlapic_is_enabled(const struct vlapic *a);
bool vlapic_is_x2apic(const struct vlapic *a);
enum io_result vlapic_access(void *dev, struct io_access *access); // dev: struct vapic
bool vlapic_msr(struct vlapic *a, unsigned number, bool write, uint64_t v, uint64_t *old);
// One register, by number; false: there is none of this number.
bool vlapic_read(struct vlapic *a, unsigned reg, uint64_t *out);
bool vlapic_write(struct vlapic *a, unsigned reg, uint64_t v);

// vapic_page.c: while a vCPU's local APIC is one that the hardware works on, these stand between it and the model.
enum status vapic_page_attach(struct vapic *v); // E_NOMEM and what mapping a page says
void vapic_page_detach(struct vapic *v);
void vapic_page_reset(struct vlapic *a); // the model has been reset
// An edge-triggered interrupt from elsewhere. False: it has to go the usual way.
bool vapic_page_post(struct vlapic *a, uint8_t vector);
void vapic_page_flush(struct virqchip *chip, unsigned vcpu);
bool vapic_page_pending(struct virqchip *chip, unsigned vcpu);
int vapic_page_acknowledge(struct virqchip *chip, unsigned vcpu);
bool vapic_page_sysreg(struct virqchip *chip, unsigned vcpu, unsigned number, bool write, uint64_t set,
                       uint64_t clear, uint64_t *old);
enum io_result vapic_page_access(void *dev, struct io_access *access); // dev: struct vapic, here and below
enum io_result vapic_page_ioapic_access(void *dev, struct io_access *access);

// vlapic_timer.c
void vlapic_timer_init(struct vlapic *a);
void vlapic_timer_reset(struct vlapic *a); // afterwards no callback runs
void vlapic_timer_set_initial(struct vlapic *a, uint32_t v);
void vlapic_timer_set_divide(struct vlapic *a, uint32_t v);
void vlapic_timer_set_deadline(struct vlapic *a, uint64_t host_ticks);
void vlapic_timer_mode_changed(struct vlapic *a);
uint32_t vlapic_timer_current(struct vlapic *a);
uint32_t vlapic_timer_initial(struct vlapic *a);
uint64_t vlapic_timer_deadline(struct vlapic *a);

// vioapic.c
void vioapic_reset(struct vapic *v);
void vioapic_set_line(struct vapic *v, unsigned pin, bool level);
void vioapic_eoi(struct vapic *v, uint8_t vector, uint32_t self);
enum io_result vioapic_access(void *dev, struct io_access *access); // dev: struct vapic
