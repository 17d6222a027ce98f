// SPDX-License-Identifier: Apache-2.0
//
// Local APICs that the hardware works on (arch_apic_pages(); Intel SDM vol. 3C, chapter 29).
//
// Who owns what: `irr` of struct vlapic is where anybody posts, and what is to be delivered once its vCPU looks. TPR is the page's;
// where the hardware delivers, so are ISR, ICR and an IRR into which the vCPU moves the posts. All other registers are the model's,
// which is told of every write; the page has a copy. What needs the model for more than one register folds everything into it,
// does its work, and unfolds it.
#include <string.h>

#include "arch/mmu.h"
#include "arch/vcpu.h"
#include "kernel/mm/page.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vapic_state.h"

#define PRIORITY 0xF0u
#define CLASS_SHIFT 4
#define ICR_HIGH_WORD (APIC_PAGE_WORD(REG_ICR) + 1) // x2APIC
#define TPR_MASK 0xFFu

_Static_assert(VLAPIC_WORDS == APIC_VECTOR_WORDS, "both are 256 vectors");

static struct arch_vcpu *vcpu_of(const struct vlapic *a)
{
    return &a->apic->chip.vm->vcpus[a->index]->arch;
}

// ---- the page ----------------------------------------

// The hardware may be at it, when others than the vCPU ask.
static uint32_t load(const struct vlapic *a, unsigned reg)
{
    return __atomic_load_n(&a->apic->pages->registers(vcpu_of(a))[APIC_PAGE_WORD(reg)], __ATOMIC_RELAXED);
}

static void store(const struct vlapic *a, unsigned reg, uint32_t v)
{
    a->apic->pages->registers(vcpu_of(a))[APIC_PAGE_WORD(reg)] = v;
}

static void copy_out(struct vlapic *a, unsigned reg)
{
    uint64_t v;

    if (vlapic_read(a, reg, &v)) {
        store(a, reg, (uint32_t)v);
    }
}

static void copy_icr(struct vlapic *a)
{
    store(a, REG_ICR, (uint32_t)a->regs.icr);
    if (vlapic_is_x2apic(a)) {
        a->apic->pages->registers(vcpu_of(a))[ICR_HIGH_WORD] = (uint32_t)(a->regs.icr >> 32);
    } else {
        store(a, REG_ICR_HIGH, (uint32_t)(a->regs.icr >> 32));
    }
}

// ---- to the hardware ----------------------------------------

// Level-triggered interrupts' ends are the I/O APIC's business; `all`: something waits for any.
static void report_eois(struct vlapic *a, bool all)
{
    bool differs = false;

    for (unsigned w = 0; w < VLAPIC_WORDS; w++) {
        uint32_t tmr = atomic_load_explicit(&a->tmr[w], memory_order_relaxed);
        uint32_t wanted = all ? UINT32_MAX : tmr;

        differs = differs || wanted != a->page.reported[w];
        a->page.reported[w] = wanted;
        store(a, REG_TMR + w, tmr);
    }
    if (differs) {
        a->apic->pages->report_eoi(vcpu_of(a), a->page.reported);
    }
}

// What was posted becomes the hardware's. One that is switched off by software holds it back (SDM vol. 3A, 11.4.7.2).
static void move_posts(struct vlapic *a)
{
    uint32_t any = 0;

    for (unsigned w = 0; vlapic_is_enabled(a) && w < VLAPIC_WORDS; w++) {
        // Acquire: who finds the bit finds its trigger mode.
        uint32_t bits = atomic_load_explicit(&a->irr[w], memory_order_relaxed)
                            ? atomic_exchange_explicit(&a->irr[w], 0, memory_order_acquire)
                            : 0;

        if (bits) {
            store(a, REG_IRR + w, load(a, REG_IRR + w) | bits);
        }
        any |= bits;
    }
    if (any) {
        report_eois(a, false);
        a->apic->pages->changed(vcpu_of(a));
    }
}

static int highest_of(const uint32_t words[VLAPIC_WORDS])
{
    for (int w = VLAPIC_WORDS - 1; w >= 0; w--) {
        if (words[w]) {
            return w * 32 + 31 - __builtin_clz(words[w]);
        }
    }
    return -1;
}

// The best of what waits, in the page or not.
static int highest_request(const struct vlapic *a)
{
    uint32_t words[VLAPIC_WORDS];

    for (unsigned w = 0; w < VLAPIC_WORDS; w++) {
        words[w] = atomic_load_explicit(&a->irr[w], memory_order_acquire);
        words[w] |= a->apic->pages->delivers ? load(a, REG_IRR + w) : 0;
        words[w] |= a->apic->pages->posted ? a->apic->pages->posted(vcpu_of(a), w) : 0;
    }
    return highest_of(words);
}

// Would an interrupt be taken if RFLAGS allowed it?
static bool is_pending(const struct vlapic *a)
{
    uint32_t isr[VLAPIC_WORDS], tpr = load(a, REG_TPR) & PRIORITY;
    int vector = vlapic_is_enabled(a) ? highest_request(a) : -1, service;

    if (vector < 0) {
        return false;
    }
    for (unsigned w = 0; w < VLAPIC_WORDS; w++) {
        isr[w] = a->apic->pages->delivers ? load(a, REG_ISR + w) : a->regs.isr[w];
    }
    service = highest_of(isr);
    return ((uint32_t)vector & PRIORITY) > tpr &&
           (service < 0 || vector >> CLASS_SHIFT > service >> CLASS_SHIFT);
}

// The vCPU delivers; only that the guest lowers its TPR is hidden from it.
static uint32_t line_only(struct vlapic *a)
{
    int vector = highest_request(a);
    uint32_t priority;

    a->regs.tpr = load(a, REG_TPR) & TPR_MASK;
    priority = vector < 0 ? 0 : (uint32_t)vector >> CLASS_SHIFT;
    a->apic->pages->report_priority(vcpu_of(a), priority > a->regs.tpr >> CLASS_SHIFT ? 0 : priority);
    return vlapic_has_pending(a) ? VCPU_LINE_IRQ : 0;
}

static bool has_posts(const struct vlapic *a)
{
    uint32_t any = 0;

    for (unsigned w = 0; w < VLAPIC_WORDS; w++) {
        any |= atomic_load_explicit(&a->irr[w], memory_order_acquire);
    }
    return any != 0;
}

// The hardware gets what TPR holds back, because it alone sees TPR change. The rest waits here, for the guest to open its mask or
// for the end of an interrupt.
static uint32_t line_beside(struct vlapic *a)
{
    int vector = vlapic_is_enabled(a) ? highest_request(a) : -1;

    if (vector >= 0 && ((uint32_t)vector & PRIORITY) <= (load(a, REG_TPR) & PRIORITY)) {
        move_posts(a);
    } else {
        report_eois(a, has_posts(a));
    }
    return has_posts(a) && is_pending(a) ? VCPU_LINE_IRQ : 0;
}

// Hands over what can be; what is left for the vCPU to deliver. The model, which does not know who delivers, may have said
// something else.
static uint32_t hand_over(struct vlapic *a)
{
    if (a->apic->pages->ignores_mask) {
        return line_beside(a);
    }
    if (!a->apic->pages->delivers) {
        return line_only(a);
    }
    move_posts(a);
    return 0;
}

static void drive(struct vlapic *a)
{
    arch_vcpu_set_irq(vcpu_of(a), hand_over(a));
}

static void update_mode(struct vlapic *a)
{
    enum apic_mode mode = vlapic_is_x2apic(a)               ? APIC_X2
                          : a->regs.base & APIC_BASE_ENABLE ? APIC_MMIO
                                                            : APIC_OFF;

    if (mode != a->page.mode) {
        a->page.mode = mode;
        a->apic->pages->set_mode(vcpu_of(a), mode);
    }
}

// ---- folding ----------------------------------------

static void fold(struct vlapic *a)
{
    a->regs.tpr = load(a, REG_TPR) & TPR_MASK;
    if (!a->apic->pages->delivers) {
        return;
    }
    for (unsigned w = 0; w < VLAPIC_WORDS; w++) {
        a->regs.isr[w] = load(a, REG_ISR + w);
        atomic_fetch_or_explicit(&a->irr[w], load(a, REG_IRR + w), memory_order_relaxed);
        store(a, REG_IRR + w, 0);
    }
    if (!vlapic_is_x2apic(a)) { // as MSRs they are always the model's
        a->regs.icr = load(a, REG_ICR) | (uint64_t)load(a, REG_ICR_HIGH) << 32;
    }
}

static void unfold(struct vlapic *a)
{
    atomic_store_explicit(&a->page.open, vlapic_is_enabled(a), memory_order_relaxed);
    store(a, REG_TPR, a->regs.tpr);
    if (a->apic->pages->delivers) {
        for (unsigned reg = REG_ID; reg < REG_SELF_IPI; reg++) {
            // IRR is empty until posts are moved, the count goes on by itself.
            if ((reg < REG_IRR || reg >= REG_ESR) && reg != REG_ICR && reg != REG_ICR_HIGH &&
                reg != REG_CURRENT) {
                copy_out(a, reg);
            }
        }
        copy_icr(a);
        update_mode(a);
        report_eois(a, false);
        a->apic->pages->changed(vcpu_of(a));
    }
    drive(a);
}

void vapic_page_reset(struct vlapic *a)
{
    for (unsigned w = 0; a->apic->pages->delivers && w < VLAPIC_WORDS; w++) {
        store(a, REG_IRR + w, 0);
    }
    if (a->apic->pages->drop_posts) {
        a->apic->pages->drop_posts(vcpu_of(a));
    }
    unfold(a);
}

// ---- what the guest does ----------------------------------------

// Registers that have no part in priorities, and are written often.
static bool stands_alone(unsigned reg)
{
    return reg == REG_ICR || reg == REG_INITIAL;
}

static bool write_alone(struct vlapic *a, unsigned reg, uint64_t v)
{
    bool ok = vlapic_write(a, reg, v);

    if (reg == REG_ICR) {
        copy_icr(a);
        drive(a);
    } else {
        copy_out(a, reg);
    }
    return ok;
}

// The hardware has put it into the page; a register without effects (ICR's upper half) has not been told of (SDM 29.4.3.2).
static bool written(struct vlapic *a, unsigned reg)
{
    uint32_t v = load(a, reg);
    uint64_t old;
    bool ok;

    if (reg == REG_ICR) {
        a->regs.icr = (uint64_t)load(a, REG_ICR_HIGH) << 32;
    }
    if (stands_alone(reg)) {
        return write_alone(a, reg, v);
    }
    fold(a);
    ok =
        vlapic_is_x2apic(a) ? vlapic_msr(a, VLAPIC_MSR_X2APIC + reg, true, v, &old) : vlapic_write(a, reg, v);
    if (!ok) { // read-only ones get their value back
        a->regs.esr_next |= ESR_ILLEGAL_REGISTER;
    }
    unfold(a);
    return true;
}

static bool ended(struct vlapic *a, uint8_t vector)
{
    if (atomic_load_explicit(&a->tmr[vector / 32], memory_order_relaxed) >> vector % 32 & 1) {
        vioapic_eoi(a->apic, vector, a->index);
    }
    drive(a);
    return true;
}

static bool msr(struct vlapic *a, unsigned number, bool write, uint64_t v, uint64_t *old)
{
    unsigned reg = number - VLAPIC_MSR_X2APIC;
    bool ok;

    if (number == VLAPIC_MSR_DEADLINE || reg == REG_CURRENT) {
        return vlapic_msr(a, number, write, v, old);
    }
    if (a->apic->pages->delivers && write && vlapic_is_x2apic(a) && stands_alone(reg) &&
        (reg == REG_ICR || v <= UINT32_MAX)) {
        return write_alone(a, reg, v);
    }
    fold(a);
    ok = vlapic_msr(a, number, write, v, old);
    unfold(a);
    return ok;
}

bool vapic_page_sysreg(struct virqchip *chip, unsigned vcpu, unsigned number, bool write, uint64_t set,
                       uint64_t clear, uint64_t *old)
{
    struct vlapic *a = &vapic_of(chip)->lapics[vcpu];

    (void)clear; // an MSR is written whole
    switch (number) {
    case VLAPIC_PAGE_WRITTEN:
        return written(a, (unsigned)set);
    case VLAPIC_PAGE_EOI:
        return ended(a, (uint8_t)set);
    case VLAPIC_PAGE_PRIORITY:
        drive(a);
        return true;
    default:
        return msr(a, number, write, set, old);
    }
}

// Accesses that the hardware leaves to instruction emulation.
enum io_result vapic_page_access(void *dev, struct io_access *access)
{
    struct vapic *v = dev;
    struct vlapic *a = &v->lapics[access->vcpu];

    if (access->offset >> 4 == REG_CURRENT) {
        return vlapic_access(dev, access);
    }
    fold(a);
    (void)!vlapic_access(dev, access); // never refuses
    unfold(a);
    return IO_DONE;
}

// The I/O APIC's registers, when they make it send something to the vCPU that has accessed them.
enum io_result vapic_page_ioapic_access(void *dev, struct io_access *access)
{
    struct vapic *v = dev;

    (void)!vioapic_access(dev, access); // never refuses
    drive(&v->lapics[access->vcpu]);
    return IO_DONE;
}

// ---- from elsewhere ----------------------------------------

// One that was level-triggered the last time may have to end as such, and has to lose the mark: that is the vCPU's to do. Who finds the
// APIC switched on when it no longer is, has sent before that.
bool vapic_page_post(struct vlapic *a, uint8_t vector)
{
    const struct apic_page_ops *pages = a->apic->pages;
    struct virqchip *chip = &a->apic->chip;
    enum apic_post result;

    if (!pages->post || !atomic_load_explicit(&a->page.open, memory_order_relaxed) ||
        (atomic_load_explicit(&a->tmr[vector / 32], memory_order_relaxed) >> vector % 32 & 1)) {
        return false;
    }
    result = pages->post(vcpu_of(a), vector);
    if (result == APIC_POST_NOTIFY && chip->notify) {
        chip->notify(chip->vm, a->index);
    }
    return result != APIC_POST_REFUSED;
}

// ---- operations ----------------------------------------

bool vapic_page_pending(struct virqchip *chip, unsigned vcpu)
{
    return is_pending(&vapic_of(chip)->lapics[vcpu]);
}

void vapic_page_flush(struct virqchip *chip, unsigned vcpu)
{
    struct vlapic *a = &vapic_of(chip)->lapics[vcpu];

    uint32_t lines = hand_over(a);

    if (atomic_exchange_explicit(&a->nmi, false, memory_order_relaxed)) {
        lines |= VCPU_LINE_NMI;
    }
    arch_vcpu_set_irq(vcpu_of(a), lines);
}

int vapic_page_acknowledge(struct virqchip *chip, unsigned vcpu)
{
    struct vlapic *a = &vapic_of(chip)->lapics[vcpu];
    int vector;

    fold(a);
    vector = vlapic_take(a);
    unfold(a);
    return vector;
}

// ---- life ----------------------------------------

// Private to the VM: a vCPU whose local APIC is not at this address finds memory there.
static enum status map_access_page(struct vapic *v)
{
    const struct mem_attr attr = {.perm = PERM_R | PERM_W, .type = MEM_NORMAL};
    struct vm *vm = v->chip.vm;
    void *page = page_alloc_zeroed(0);
    enum status s;

    if (!page) {
        return E_NOMEM;
    }
    s = aspace_map(&vm->stage2, v->lapic_base, arch_virt_to_phys(page), PAGE_SIZE, attr);
    if (s != OK) {
        page_free(page, 0);
        return s;
    }
    v->access_page = page;
    v->pages->attach(&vm->arch, arch_virt_to_phys(page), gpa(v->lapic_base));
    return OK;
}

enum status vapic_page_attach(struct vapic *v)
{
    enum status s;

    v->pages = arch_apic_pages();
    if (!v->pages) {
        return OK;
    }
    if (v->pages->delivers) {
        s = map_access_page(v);
        if (s != OK) {
            return s;
        }
    }
    for (unsigned i = 0; i < v->chip.vcpu_count; i++) {
        v->lapics[i].page = (struct vlapic_page){.mode = APIC_OFF};
        vapic_page_reset(&v->lapics[i]);
    }
    return OK;
}

void vapic_page_detach(struct vapic *v)
{
    if (v->access_page) {
        // A page that was mapped alone: nothing is split.
        (void)!aspace_unmap(&v->chip.vm->stage2, v->lapic_base, PAGE_SIZE);
        page_free(v->access_page, 0);
    }
}
