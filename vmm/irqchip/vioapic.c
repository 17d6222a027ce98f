// SPDX-License-Identifier: Apache-2.0
//
// The virtual I/O APIC (82093AA data sheet): redirection table, edge and level inputs, end of interrupt.
#include "vmm/irqchip/vapic_state.h"

#define IOREGSEL 0x00u
#define IOWIN 0x10u
#define EOIR 0x40u // version 0x20 and later
#define INDEX_ID 0x00u
#define INDEX_VERSION 0x01u
#define INDEX_ARBITRATION 0x02u
#define INDEX_TABLE 0x10u
#define VERSION (0x20u | (VIOAPIC_PINS - 1) << 16)
#define ID_MASK 0x0F000000u

#define ENTRY_VECTOR MASK64(0, 8)
#define ENTRY_MODE(e) ((e) >> 8 & 7)
#define ENTRY_LOGICAL BIT64(11)
#define ENTRY_REMOTE_IRR BIT64(14)
#define ENTRY_LEVEL BIT64(15)
#define ENTRY_MASKED BIT64(16)
#define ENTRY_READ_ONLY (BIT64(12) | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE (MASK64(0, 17) | MASK64(56, 8))

static void send_locked(struct vapic *v, unsigned pin, uint32_t self)
{
    uint64_t *e = &v->io.entries[pin];
    struct vapic_message m = {
        .vector = (uint8_t)(*e & ENTRY_VECTOR),
        .mode = (uint8_t)ENTRY_MODE(*e),
        .logical = (*e & ENTRY_LOGICAL) != 0,
        .level = (*e & ENTRY_LEVEL) != 0,
        .destination = (uint32_t)(*e >> 56),
    };

    if ((*e & ENTRY_LEVEL) && m.mode != MODE_NMI) {
        *e |= ENTRY_REMOTE_IRR;
    }
    if (m.mode == MODE_FIXED || m.mode == MODE_LOWEST || m.mode == MODE_NMI) {
        vapic_deliver(v, &m, self);
    }
}

// A level input asks again as long as it is high and nobody serves it.
static void look_locked(struct vapic *v, unsigned pin, uint32_t self)
{
    uint64_t e = v->io.entries[pin];

    if ((e & ENTRY_LEVEL) && !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) && (v->io.levels >> pin & 1)) {
        send_locked(v, pin, self);
    }
}

void vioapic_set_line(struct vapic *v, unsigned pin, bool level)
{
    irq_state_t irq;
    bool rises;

    if (pin >= VIOAPIC_PINS) {
        return;
    }
    irq = spin_lock_irqsave(&v->lock);
    rises = level && !(v->io.levels >> pin & 1);
    v->io.levels = (v->io.levels & ~(UINT32_C(1) << pin)) | (uint32_t)level << pin;
    if (v->io.entries[pin] & ENTRY_LEVEL) {
        look_locked(v, pin, VAPIC_NOBODY);
    } else if (rises && !(v->io.entries[pin] & ENTRY_MASKED)) {
        send_locked(v, pin, VAPIC_NOBODY);
    }
    spin_unlock_irqrestore(&v->lock, irq);
}

void vioapic_eoi(struct vapic *v, uint8_t vector, uint32_t self)
{
    irq_state_t irq = spin_lock_irqsave(&v->lock);

    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
        uint64_t *e = &v->io.entries[pin];

        if ((*e & ENTRY_REMOTE_IRR) && (*e & ENTRY_VECTOR) == vector) {
            *e &= ~ENTRY_REMOTE_IRR;
            look_locked(v, pin, self);
        }
    }
    spin_unlock_irqrestore(&v->lock, irq);
}

static uint32_t read_index(const struct vapic *v)
{
    unsigned i = v->io.select - INDEX_TABLE;

    if (v->io.select >= INDEX_TABLE && i < 2 * VIOAPIC_PINS) {
        return (uint32_t)(v->io.entries[i / 2] >> (i % 2 * 32));
    }
    switch (v->io.select) {
    case INDEX_VERSION:
        return VERSION;
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return v->io.id;
    default:
        return 0;
    }
}

static void write_entry_locked(struct vapic *v, unsigned i, uint32_t value, uint32_t self)
{
    uint64_t *e = &v->io.entries[i / 2];
    uint64_t half = UINT64_C(0xFFFFFFFF) << (i % 2 * 32);
    uint64_t writable = half & ENTRY_WRITABLE & ~ENTRY_READ_ONLY;

    *e = (*e & ~writable) | ((uint64_t)value << (i % 2 * 32) & writable);
    if (!(*e & ENTRY_LEVEL)) {
        *e &= ~ENTRY_REMOTE_IRR;
    }
    look_locked(v, i / 2, self);
}

static void write_index_locked(struct vapic *v, uint32_t value, uint32_t self)
{
    unsigned i = v->io.select - INDEX_TABLE;

    if (v->io.select >= INDEX_TABLE && i < 2 * VIOAPIC_PINS) {
        write_entry_locked(v, i, value, self);
    } else if (v->io.select == INDEX_ID) {
        v->io.id = value & ID_MASK;
    }
}

enum io_result vioapic_access(void *dev, struct io_access *access)
{
    struct vapic *v = dev;
    irq_state_t irq;

    if (access->write && access->offset == EOIR) {
        vioapic_eoi(v, (uint8_t)access->value, access->vcpu);
        return IO_DONE;
    }
    irq = spin_lock_irqsave(&v->lock);
    if (access->offset == IOREGSEL && access->write) {
        v->io.select = access->value & 0xFF;
    } else if (access->offset == IOWIN && access->write) {
        write_index_locked(v, (uint32_t)access->value, access->vcpu);
    } else if (!access->write) {
        access->value = access->offset == IOREGSEL ? v->io.select
                        : access->offset == IOWIN  ? read_index(v)
                                                   : 0;
    }
    spin_unlock_irqrestore(&v->lock, irq);
    return IO_DONE;
}

// Input levels are wiring: they outlive a reset.
void vioapic_reset(struct vapic *v)
{
    v->io.select = v->io.id = 0;
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
        v->io.entries[pin] = ENTRY_MASKED;
    }
}
