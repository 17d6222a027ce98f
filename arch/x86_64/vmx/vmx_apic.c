// SPDX-License-Identifier: Apache-2.0
//
// The hardware's local APIC (Intel SDM vol. 3C, chapter 29) for guests: a page of registers for each vCPU. Where the CPU has
// everything, it delivers interrupts from there without an exit, and exits for registers whose writing has effects; where it
// has the TPR shadow alone, CR8 needs no exit.
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "arch/x86_64/vmx/vmx_local.h"
#include "kernel/cpu/cpu.h"
#include "kernel/mm/page.h"

#define TPR_WORD APIC_PAGE_WORD(0x08)
#define PPR_WORD APIC_PAGE_WORD(0x0A)
#define CLASS_SHIFT 4
#define X2APIC_REGS 0x40u
#define SELF_IPI 0x3Fu
#define ICR_FIXED 0x4000u

static enum vmx_apic_level level;
static bool has_posts;
static struct apic_page_ops delivery_ops;
static enum apic_post apic_post(struct arch_vcpu *av, uint8_t vector);
static uint32_t apic_posted(struct arch_vcpu *av, unsigned word);
static void apic_drop_posts(struct arch_vcpu *av);
static void *plain_bitmap, *x2apic_bitmap; // of MSRs

// ---- the machine ----------------------------------------

// A vector that a guest sends itself goes by the hypervisor where the hardware would not wait for RFLAGS.IF.
static void open_registers(uint8_t *map)
{
    for (unsigned r = 0; r < X2APIC_REGS; r++) {
        if (vmx_apic_reads(r)) {
            vmx_open_msr(map, MSR_X2APIC + r, false);
        }
        if (vmx_apic_writes(r) && (r != SELF_IPI || !delivery_ops.ignores_mask)) {
            vmx_open_msr(map, MSR_X2APIC + r, true);
        }
    }
}

enum status vmx_apic_init(enum vmx_apic_level found, void *msr_bitmap, bool ignores_mask, bool posts)
{
    level = found;
    has_posts = posts;
    delivery_ops.post = posts ? apic_post : NULL;
    delivery_ops.posted = posts ? apic_posted : NULL;
    delivery_ops.drop_posts = posts ? apic_drop_posts : NULL;
    delivery_ops.ignores_mask = ignores_mask;
    plain_bitmap = x2apic_bitmap = msr_bitmap;
    if (level < VMX_APIC_DELIVERY) {
        return OK;
    }
    x2apic_bitmap = page_alloc(0);
    if (!x2apic_bitmap) {
        return E_NOMEM;
    }
    memcpy(x2apic_bitmap, msr_bitmap, PAGE_SIZE);
    open_registers(x2apic_bitmap);
    return OK;
}

// ---- a vCPU ----------------------------------------

enum status vmx_apic_create(struct vmx_vcpu *vv)
{
    vv->apic = (struct vmx_apic){.mode = APIC_OFF};
    if (level == VMX_APIC_NONE) {
        return OK;
    }
    vv->apic.page = page_alloc_zeroed(0);
    if (!vv->apic.page) {
        return E_NOMEM;
    }
    // A page of its own: Bochs 3.0 refuses an entry when the descriptor is at the start of none.
    vv->apic.posts = has_posts ? page_alloc_zeroed(0) : NULL;
    if (has_posts && !vv->apic.posts) {
        page_free(vv->apic.page, 0);
        return E_NOMEM;
    }
    return OK;
}

void vmx_apic_destroy(struct vmx_vcpu *vv)
{
    if (vv->apic.page) {
        page_free(vv->apic.page, 0);
    }
    if (vv->apic.posts) {
        page_free(vv->apic.posts, 0);
    }
}

uint32_t vmx_apic_pin(const struct vmx_vcpu *vv)
{
    return vmx_controls[VMX_PIN] & ~(PIN_PREEMPTION | (vv->apic.mode == APIC_OFF ? PIN_POSTED : 0));
}

static void write_mode(const struct vmx_vcpu *vv)
{
    const void *bitmap = vv->apic.mode == APIC_X2 ? x2apic_bitmap : plain_bitmap;

    vmcs_write(VMCS_SECONDARY_CONTROLS, vmx_controls[VMX_SECONDARY] | vmx_apic_secondary(vv->apic.mode));
    vmcs_write(VMCS_PIN_CONTROLS, vmx_apic_pin(vv) | (vv->limited ? PIN_PREEMPTION : 0));
    vmcs_write(VMCS_MSR_BITMAP, arch_virt_to_phys(bitmap).v);
}

static void write_eoi_exits(const struct vmx_vcpu *vv)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vv->apic.eoi_exits); i++) {
        vmcs_write((enum vmcs_field)(VMCS_EOI_EXITS + 2 * i), vv->apic.eoi_exits[i]);
    }
}

void vmx_apic_setup(const struct arch_vcpu *av)
{
    const struct vmx_vcpu *vv = vmx_of(av);

    write_mode(vv);
    if (level == VMX_APIC_NONE) {
        return;
    }
    vmcs_write(VMCS_VIRTUAL_APIC, arch_virt_to_phys(vv->apic.page).v);
    vmcs_write(VMCS_TPR_THRESHOLD, vv->apic.threshold);
    if (level == VMX_APIC_DELIVERY) {
        vmcs_write(VMCS_APIC_ACCESS, av->vm->apic_access.v);
        vmcs_write(VMCS_GUEST_INTERRUPTS, vmx_apic_status(vv->apic.page));
        write_eoi_exits(vv);
    }
    if (vv->apic.posts) {
        vmcs_write(VMCS_POSTED_VECTOR, VECTOR_NOTIFY);
        vmcs_write(VMCS_POSTED_DESCRIPTOR, arch_virt_to_phys(vv->apic.posts).v);
    }
}

// ---- posted interrupts (29.6) ----------------------------------------
//
// Who posts: request, ON, then a look at `inside`. Who enters: `inside`, then a look at ON, and what is there goes to IRR; who leaves:
// not `inside`, then (before it sleeps) a look at the requests. All of it in one order that everybody sees, so either the poster
// finds the vCPU inside, or the vCPU finds the request, or both. Inside, interrupts are masked until the guest runs: a
// notification that comes before is pending then, and the processor does with it what it does with a later one. One that comes
// after the exit, or to a CPU that the vCPU has left, means nothing (apic_ack() of the host's controller): the request is found at the
// next entry. ON set inside means that another's notification is on its way to where the vCPU is.

// A notification waits here: the processor takes it first thing in the guest, and the requests with it. One that finds none would do no
// harm, but Bochs 3.0 then delivers vector 0xFF. (It still can: between the poster's ON and its notification.)
static bool is_notified(void)
{
    return lapic_read(LAPIC_IRR + VECTOR_NOTIFY / 32 * 0x10) >> VECTOR_NOTIFY % 32 & 1;
}

void vmx_apic_enter(struct vmx_vcpu *vv)
{
    struct vmx_apic *apic = &vv->apic;

    if (!apic->posts || apic->mode == APIC_OFF) {
        return;
    }
    atomic_store_explicit(&apic->inside, true, memory_order_seq_cst);
    if (atomic_load_explicit(&apic->posts->outstanding, memory_order_seq_cst) && !is_notified() &&
        vmx_posts_move(apic->posts, apic->page)) {
        vmcs_write(VMCS_GUEST_INTERRUPTS, vmx_apic_status(apic->page));
    }
}

void vmx_apic_leave(struct vmx_vcpu *vv)
{
    if (vv->apic.posts) {
        atomic_store_explicit(&vv->apic.inside, false, memory_order_seq_cst);
    }
}

bool vmx_apic_priority_fell(const struct vmx_vcpu *vv)
{
    return vv->apic.threshold > (vv->apic.page[TPR_WORD] & 0xFF) >> CLASS_SHIFT;
}

bool vmx_apic_describe(const struct arch_vcpu *av, char *text, size_t size)
{
    static const char *const modes[] = {[APIC_OFF] = "off", [APIC_MMIO] = "xAPIC", [APIC_X2] = "x2APIC"};
    const struct vmx_apic *apic = &vmx_of(av)->apic;
    unsigned long state;
    uint64_t status;

    if (level < VMX_APIC_DELIVERY) {
        return false;
    }
    state = vmcs_acquire(av);
    status = vmcs_read(VMCS_GUEST_INTERRUPTS);
    vmcs_release(av, state);
    snprintf(text, size, "%s tpr %02x  ppr %02x  requested %02x  in service %02x", modes[apic->mode],
             apic->page[TPR_WORD] & 0xFF, apic->page[PPR_WORD] & 0xFF, (unsigned)status & 0xFF,
             (unsigned)status >> 8);
    return true;
}

// ---- operations ----------------------------------------

static uint32_t *apic_registers(struct arch_vcpu *av)
{
    return vmx_of(av)->apic.page;
}

// vCPUs exist already; what each of them has to know comes with its next reset.
static void apic_attach(struct arch_vm *vm, hpa_t access, gpa_t base)
{
    vm->apic_access = access;
    vm->apic_base = base;
}

// What the CPU remembers of translations may depend on it (29.4.5): as if the vCPU came from another CPU.
static void apic_set_mode(struct arch_vcpu *av, enum apic_mode mode)
{
    struct vmx_vcpu *vv = vmx_of(av);
    unsigned long state = vmcs_acquire(av);

    vv->apic.mode = mode;
    vv->cpu = CPU_MAX;
    write_mode(vv);
    vmcs_write(VMCS_APIC_ACCESS, av->vm->apic_access.v);
    vmcs_release(av, state);
}

static void apic_changed(struct arch_vcpu *av)
{
    unsigned long state = vmcs_acquire(av);

    vmcs_write(VMCS_GUEST_INTERRUPTS, vmx_apic_status(vmx_of(av)->apic.page));
    vmcs_release(av, state);
}

static void apic_report_eoi(struct arch_vcpu *av, const uint32_t vectors[APIC_VECTOR_WORDS])
{
    struct vmx_vcpu *vv = vmx_of(av);
    unsigned long state = vmcs_acquire(av);

    for (unsigned i = 0; i < ARRAY_SIZE(vv->apic.eoi_exits); i++) {
        vv->apic.eoi_exits[i] = vectors[2 * i] | (uint64_t)vectors[2 * i + 1] << 32;
    }
    write_eoi_exits(vv);
    vmcs_release(av, state);
}

static void apic_report_priority(struct arch_vcpu *av, unsigned priority_class)
{
    struct vmx_vcpu *vv = vmx_of(av);
    unsigned long state;

    if (vv->apic.threshold == priority_class) {
        return;
    }
    vv->apic.threshold = priority_class;
    state = vmcs_acquire(av);
    vmcs_write(VMCS_TPR_THRESHOLD, priority_class);
    vmcs_release(av, state);
}

static enum apic_post apic_post(struct arch_vcpu *av, uint8_t vector)
{
    struct vmx_vcpu *vv = vmx_of(av);
    unsigned cpu;
    bool first;

    if (!atomic_load_explicit(&vv->apic.inside, memory_order_seq_cst)) {
        return APIC_POST_REFUSED;
    }
    first = vmx_posts_add(vv->apic.posts, vector);
    if (!atomic_load_explicit(&vv->apic.inside, memory_order_seq_cst)) {
        return APIC_POST_NOTIFY;
    }
    cpu = __atomic_load_n(&vv->cpu, __ATOMIC_RELAXED);
    if (first && cpu < CPU_MAX) {
        lapic_icr((uint32_t)cpu_get(cpu)->hw_id, ICR_FIXED | VECTOR_NOTIFY);
    }
    return APIC_POST_DONE;
}

static uint32_t apic_posted(struct arch_vcpu *av, unsigned word)
{
    return atomic_load_explicit(&vmx_of(av)->apic.posts->requests[word], memory_order_seq_cst);
}

static void apic_drop_posts(struct arch_vcpu *av)
{
    vmx_posts_drop(vmx_of(av)->apic.posts);
}

static const struct apic_page_ops priority_ops = {.registers = apic_registers,
                                                  .report_priority = apic_report_priority};
static struct apic_page_ops delivery_ops = {
    .delivers = true,
    .registers = apic_registers,
    .attach = apic_attach,
    .set_mode = apic_set_mode,
    .changed = apic_changed,
    .report_eoi = apic_report_eoi,
};

const struct apic_page_ops *vmx_apic_pages(void)
{
    return level == VMX_APIC_DELIVERY ? &delivery_ops : level == VMX_APIC_PRIORITY ? &priority_ops : NULL;
}
