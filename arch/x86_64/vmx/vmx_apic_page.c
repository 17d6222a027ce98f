// SPDX-License-Identifier: Apache-2.0
//
// See vmx_apic_page.h.
#include "arch/x86_64/vmx/vmx_apic_page.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/x86_64/vmx/vmcs.h"

#define SECONDARY_APIC \
    (SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS)

enum reg {
    REG_TPR = 0x08,
    REG_EOI = 0x0B,
    REG_ISR = 0x10,
    REG_IRR = 0x20,
    REG_SELF_IPI = 0x3F
};

enum vmx_apic_level vmx_apic_choose(uint32_t controls[VMX_CONTROL_COUNT])
{
    uint32_t *primary = &controls[VMX_PRIMARY], *secondary = &controls[VMX_SECONDARY];
    bool all = (*secondary & SECONDARY_APIC) == SECONDARY_APIC;

    *secondary &= ~SECONDARY_APIC;
    if (!(*primary & PRIMARY_TPR_SHADOW)) {
        return VMX_APIC_NONE;
    }
    *primary &= ~(PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE);
    return all ? VMX_APIC_DELIVERY : VMX_APIC_PRIORITY;
}

bool vmx_posts_wanted(const char *options)
{
    static const char word[] = "posted=on";

    while (options && *options) {
        size_t length = strcspn(options, " ");

        if (length == sizeof(word) - 1 && memcmp(options, word, length) == 0) {
            return true;
        }
        options += length;
        options += *options == ' ';
    }
    return false;
}

bool vmx_posts_choose(uint32_t controls[VMX_CONTROL_COUNT], enum vmx_apic_level level, bool wanted)
{
    if (wanted && level == VMX_APIC_DELIVERY && (controls[VMX_PIN] & PIN_POSTED) &&
        (controls[VMX_EXIT] & EXIT_ACKNOWLEDGE)) {
        return true;
    }
    controls[VMX_PIN] &= ~PIN_POSTED;
    controls[VMX_EXIT] &= ~EXIT_ACKNOWLEDGE;
    return false;
}

// The request before ON, here; ON before the requests, there: who finds ON set knows that its request will be found.
bool vmx_posts_add(struct vmx_posts *p, uint8_t vector)
{
    atomic_fetch_or_explicit(&p->requests[vector / 32], UINT32_C(1) << vector % 32, memory_order_seq_cst);
    return !(atomic_fetch_or_explicit(&p->outstanding, 1, memory_order_seq_cst) & 1);
}

void vmx_posts_drop(struct vmx_posts *p)
{
    atomic_fetch_and_explicit(&p->outstanding, ~UINT32_C(1), memory_order_seq_cst);
    for (unsigned w = 0; w < APIC_VECTOR_WORDS; w++) {
        atomic_store_explicit(&p->requests[w], 0, memory_order_seq_cst);
    }
}

bool vmx_posts_move(struct vmx_posts *p, uint32_t *page)
{
    if (!(atomic_load_explicit(&p->outstanding, memory_order_seq_cst) & 1)) {
        return false;
    }
    atomic_fetch_and_explicit(&p->outstanding, ~UINT32_C(1), memory_order_seq_cst);
    for (unsigned w = 0; w < APIC_VECTOR_WORDS; w++) {
        if (atomic_load_explicit(&p->requests[w], memory_order_relaxed)) {
            page[APIC_PAGE_WORD(REG_IRR + w)] |=
                atomic_exchange_explicit(&p->requests[w], 0, memory_order_seq_cst);
        }
    }
    return true;
}

uint32_t vmx_apic_secondary(enum apic_mode mode)
{
    switch (mode) {
    case APIC_MMIO:
        return SECONDARY_APIC & ~SECONDARY_X2APIC;
    case APIC_X2:
        return SECONDARY_APIC & ~SECONDARY_APIC_ACCESSES;
    case APIC_OFF:
        break;
    }
    return 0;
}

static unsigned highest(const uint32_t *page, unsigned first)
{
    for (unsigned w = APIC_VECTOR_WORDS; w-- > 0;) {
        uint32_t v = page[APIC_PAGE_WORD(first + w)];

        if (v) {
            return w * 32 + 31 - (unsigned)__builtin_clz(v);
        }
    }
    return 0;
}

uint16_t vmx_apic_status(const uint32_t *page)
{
    return (uint16_t)(highest(page, REG_ISR) << 8 | highest(page, REG_IRR));
}

// Not the timer's current count, which nobody keeps up to date; not those that can only be written, nor what does not exist.
bool vmx_apic_reads(unsigned reg)
{
    static const uint64_t present = BIT64(0x02) | BIT64(0x03) | BIT64(REG_TPR) | BIT64(0x0A) | BIT64(0x0D) |
                                    BIT64(0x0F) | MASK64(REG_ISR, 24) | BIT64(0x28) | BIT64(0x30) |
                                    MASK64(0x32, 7) | BIT64(0x3E);

    return reg < 64 && (present >> reg & 1);
}

bool vmx_apic_writes(unsigned reg)
{
    return reg == REG_TPR || reg == REG_EOI || reg == REG_SELF_IPI;
}
