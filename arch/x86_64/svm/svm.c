// SPDX-License-Identifier: Apache-2.0
//
// AMD SVM (APM vol. 2, chapter 15): probing, turning on, a vCPU's VMCB, entering. What a CPU may lack (NRIP save, flush by
// ASID, clean bits, decode assists) is not relied on.
#include <stdio.h>
#include <string.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/x86_64/svm/svm_local.h"
#include "kernel/cpu/cpu.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/pt_format.h"

#define CPUID_SVM 0x8000000A
#define CPUID81_ECX_SVM BIT64(2)
#define SVM_EDX_NP BIT64(0)
#define SVM_EDX_NRIPS BIT64(3)
#define MSR_VM_CR 0xC0010114
#define VM_CR_SVMDIS BIT64(4)
#define MSR_VM_HSAVE_PA 0xC0010117
#define IOPM_ORDER 2 // 12 KiB
#define MSRPM_ORDER 1
#define HOST_ASID 0

// One of each CPU.
struct svm_cpu {
    hpa_t host_save, host_vmcb; // the hardware's; for VMLOAD
    uint32_t next_asid;
    uint32_t generation; // of ASIDs: 0 is never a vCPU's
};

static struct svm_cpu cpus[CPU_MAX];
static uint32_t asid_count;
static bool has_nrips;

// QEMU's TCG may forget a pending interrupt while a guest is left: the emulated CPU and the timer's thread change the same word
// without a lock. Its local APIC still knows, and says so again when its task priority is written.
bool svm_loses_irqs;
static void *iopm, *msrpm; // every port, every MSR but those that VMLOAD and VMSAVE switch

// ---- the machine ----------------------------------------

static enum status refuse(struct virt_caps *caps, const char *why)
{
    snprintf(caps->text, sizeof(caps->text), "%s", why);
    return E_UNSUPPORTED;
}

// Two bits for each register: read, write (APM 15.11).
static void msrpm_open(uint8_t *map, uint32_t msr)
{
    uint32_t bit = msr < 0x2000 ? msr * 2 : 0x800 * 8 + (msr - 0xC0000000) * 2;

    map[bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

static enum status make_maps(void)
{
    static const uint32_t open[] = {0x174,     0x175,      0x176,       MSR_STAR,    MSR_LSTAR,
                                    MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};

    iopm = page_alloc(IOPM_ORDER);
    msrpm = page_alloc(MSRPM_ORDER);
    if (!iopm || !msrpm) {
        return E_NOMEM;
    }
    memset(iopm, 0xFF, PAGE_SIZE << IOPM_ORDER);
    memset(msrpm, 0xFF, PAGE_SIZE << MSRPM_ORDER);
    for (unsigned i = 0; i < ARRAY_SIZE(open); i++) {
        msrpm_open(msrpm, open[i]);
    }
    return OK;
}

static enum status svm_probe(struct virt_caps *caps)
{
    struct cpuid svm;

    if (cpuid_read(0x80000000, 0).eax < CPUID_SVM || !(cpuid_read(0x80000001, 0).ecx & CPUID81_ECX_SVM)) {
        return E_NOENT;
    }
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
        return refuse(caps, "SVM is switched off by the firmware");
    }
    svm = cpuid_read(CPUID_SVM, 0);
    if (!(svm.edx & SVM_EDX_NP)) {
        return refuse(caps, "SVM without nested paging");
    }
    has_nrips = (svm.edx & SVM_EDX_NRIPS) != 0;
    svm_loses_irqs = cpu_is_tcg();
    asid_count = svm.ebx;
    caps->ipa_bits = 48;
    caps->vmid_count = 1u << 16; // address-space identifiers are vCPUs', and renewed as needed
    caps->name = "SVM";
    snprintf(caps->text, sizeof(caps->text), "nested paging, %u ASIDs%s", asid_count,
             has_nrips ? ", next RIP" : "");
    return make_maps();
}

static enum status svm_enable(void)
{
    struct svm_cpu *c = &cpus[this_cpu()->index];
    void *save = page_alloc(0);
    void *vmcb = page_alloc(0);

    if (!save || !vmcb) {
        return E_NOMEM;
    }
    memset(save, 0, PAGE_SIZE);
    memset(vmcb, 0, PAGE_SIZE);
    c->host_save = arch_virt_to_phys(save);
    c->host_vmcb = arch_virt_to_phys(vmcb);
    c->next_asid = asid_count; // the first vCPU begins a generation
    c->generation = 1;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, c->host_save.v);
    asm volatile("vmsave" ::"a"(c->host_vmcb.v) : "memory");
    return OK;
}

// ---- debug registers ----------------------------------------

// DR0 to DR3 are not the VMCB's, unlike DR6 and DR7. Few guests use them: they are a guest's own from its first access on,
// until another vCPU takes the CPU. While they are away, what the CPU has in them is somebody else's.
#define DEBUG_AWAY (INTERCEPT_DR(0) | INTERCEPT_DR(1) | INTERCEPT_DR(2) | INTERCEPT_DR(3) | INTERCEPT_DR(7))
#define DR7_ENABLES 0xFFu

void svm_debug_take(struct svm_vcpu *sv)
{
    asm volatile("mov %0, %%dr0" ::"r"(sv->dr[0]));
    asm volatile("mov %0, %%dr1" ::"r"(sv->dr[1]));
    asm volatile("mov %0, %%dr2" ::"r"(sv->dr[2]));
    asm volatile("mov %0, %%dr3" ::"r"(sv->dr[3]));
    sv->vmcb->control.intercept_dr = 0;
    sv->debugs = true;
}

static void debug_leave(struct svm_vcpu *sv)
{
    asm volatile("mov %%dr0, %0" : "=r"(sv->dr[0]));
    asm volatile("mov %%dr1, %0" : "=r"(sv->dr[1]));
    asm volatile("mov %%dr2, %0" : "=r"(sv->dr[2]));
    asm volatile("mov %%dr3, %0" : "=r"(sv->dr[3]));
    sv->vmcb->control.intercept_dr = DEBUG_AWAY;
    sv->debugs = false;
}

// ---- a vCPU ----------------------------------------

static const struct vmcb_seg real_mode_data = {.attr = 0x93, .limit = 0xFFFF};

static void svm_vcpu_reset(struct arch_vcpu *av)
{
    struct svm_vcpu *sv = av->vendor;
    struct vmcb_control *c = &sv->vmcb->control;
    struct vmcb_save *s = &sv->vmcb->save;

    memset(sv->vmcb, 0, sizeof(*sv->vmcb));
    memset(sv->dr, 0, sizeof(sv->dr));
    sv->debugs = false;
    sv->nmi = SVM_NMI_OPEN;
    sv->stepping = false;
    c->intercept_cr = INTERCEPT_CR_READ(8) | INTERCEPT_CR_WRITE(8);
    c->intercept_dr = DEBUG_AWAY;
    c->intercept_exceptions = BIT64(X86_DB) | BIT64(X86_AC) | BIT64(X86_MC);
    c->intercept3 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT | INTERCEPT_RDPMC | INTERCEPT_CPUID |
                    INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR |
                    INTERCEPT_TASK_SWITCH | INTERCEPT_SHUTDOWN;
    c->intercept4 = INTERCEPT4_VMRUN | INTERCEPT4_VMMCALL | INTERCEPT4_VMLOAD | INTERCEPT4_VMSAVE |
                    INTERCEPT4_STGI | INTERCEPT4_CLGI | INTERCEPT4_SKINIT | INTERCEPT4_WBINVD |
                    INTERCEPT4_MONITOR | INTERCEPT4_MWAIT | INTERCEPT4_XSETBV;
    c->iopm_base = arch_virt_to_phys(iopm).v;
    c->msrpm_base = arch_virt_to_phys(msrpm).v;
    c->tsc_offset = av->vm->tsc_offset;
    c->v_intr = V_INTR_MASKING;
    c->np_enable = 1;
    c->nested_cr3 = av->vm->root.v;
    s->es = s->ss = s->ds = s->fs = s->gs = real_mode_data;
    s->cs = (struct vmcb_seg){.selector = 0xF000, .attr = 0x9B, .limit = 0xFFFF, .base = 0xFFFF0000};
    s->gdtr = s->idtr = (struct vmcb_seg){.limit = 0xFFFF};
    s->ldtr = (struct vmcb_seg){.attr = 0x82, .limit = 0xFFFF};
    s->tr = (struct vmcb_seg){.attr = 0x8B, .limit = 0xFFFF};
    s->efer = EFER_SVME;
    s->cr0 = CR0_ET;
    s->dr6 = 0xFFFF0FF0;
    s->dr7 = 0x400;
    s->rflags = 2;
    s->rip = 0xFFF0;
    s->g_pat = 0x0007040600070406;
    sv->generation = 0;
}

static enum status svm_vcpu_create(struct arch_vcpu *av)
{
    struct svm_vcpu *sv = pool_alloc(sizeof(*sv));

    if (!sv) {
        return E_NOMEM;
    }
    sv->vmcb = page_alloc(0);
    if (!sv->vmcb) {
        pool_free(sv, sizeof(*sv));
        return E_NOMEM;
    }
    sv->vmcb_pa = arch_virt_to_phys(sv->vmcb);
    av->vendor = sv;
    svm_vcpu_reset(av);
    return OK;
}

static void svm_vcpu_destroy(struct arch_vcpu *av)
{
    struct svm_vcpu *sv = av->vendor;

    memset(sv->vmcb, 0, PAGE_SIZE); // registers of a guest do not linger
    page_free(sv->vmcb, 0);
    pool_free(sv, sizeof(*sv));
    av->vendor = NULL;
}

// The VMCB is all there is to load, but for breakpoints. As long as it stays loaded, nobody else takes identifiers here.
static void svm_load(struct arch_vcpu *av)
{
    struct svm_vcpu *sv = av->vendor;
    unsigned cpu = this_cpu()->index;

    sv->host_vmcb = cpus[cpu].host_vmcb;
    if (sv->cpu != cpu || sv->generation != cpus[cpu].generation) {
        av->flushed = atomic_load_explicit(&av->vm->flush_count, memory_order_relaxed) - 1; // see give_asid()
    }
    if (__builtin_expect((sv->vmcb->save.dr7 & DR7_ENABLES) != 0, false)) {
        svm_debug_take(sv);
    }
}

static void svm_put(struct arch_vcpu *av)
{
    struct svm_vcpu *sv = av->vendor;

    if (__builtin_expect(sv->debugs, false)) {
        debug_leave(sv);
    }
}

// A vCPU that comes from another CPU, or whose nested table changed, gets an identifier under which this CPU's TLB holds
// nothing. When there are no more, everything is flushed and they start again. At an entry, as the flush comes with it.
static void give_asid(struct arch_vcpu *av, struct svm_vcpu *sv, uint32_t changes)
{
    unsigned cpu = this_cpu()->index;
    struct svm_cpu *c = &cpus[cpu];

    if (c->next_asid >= asid_count) {
        c->next_asid = HOST_ASID + 1;
        c->generation++;
        sv->vmcb->control.tlb_control = TLB_FLUSH_ALL;
    }
    sv->vmcb->control.asid = c->next_asid++;
    sv->generation = c->generation;
    sv->cpu = cpu;
    av->flushed = changes;
}

static void svm_run(struct arch_vcpu *av, struct x86_exit *out);

__attribute__((noinline)) static void run_anew(struct arch_vcpu *av, struct x86_exit *out, uint32_t changes)
{
    give_asid(av, av->vendor, changes);
    svm_run(av, out);
}

static void svm_run(struct arch_vcpu *av, struct x86_exit *out)
{
    struct svm_vcpu *sv = av->vendor;
    struct vmcb *vmcb = sv->vmcb;
    uint32_t changes = atomic_load_explicit(&av->vm->flush_count, memory_order_acquire);

    if (__builtin_expect(av->flushed != changes, false)) {
        run_anew(av, out, changes);
        return;
    }
    vmcb->save.rax = av->r[X86_RAX];
    vmcb->save.rsp = av->r[X86_RSP];
    svm_enter(av, out, sv);
}

// In real mode exceptions have no error code.
static void svm_inject(struct arch_vcpu *av, enum x86_event type, uint8_t vector, int64_t error)
{
    struct svm_vcpu *sv = av->vendor;
    uint64_t e = EVENT_VALID | (uint64_t)type << EVENT_TYPE_SHIFT | vector;

    if (error >= 0 && sv->vmcb->save.cr0 & CR0_PE) {
        e |= EVENT_ERROR | (uint64_t)error << 32;
    }
    sv->vmcb->control.event_inject = e;
    if (__builtin_expect(type == X86_EVENT_NMI, false)) {
        svm_nmi_injected(sv);
    }
}

static bool svm_can_interrupt(const struct arch_vcpu *av)
{
    const struct vmcb *vmcb = ((const struct svm_vcpu *)av->vendor)->vmcb;
    uint64_t waits = (vmcb->control.shadow & 1) | (vmcb->control.event_inject & EVENT_VALID);

    return (vmcb->save.rflags & RFLAGS_IF) && !waits;
}

// A virtual interrupt that is never delivered: its intercept comes first.
static void svm_want_window(struct arch_vcpu *av, bool want)
{
    struct vmcb_control *c = &((struct svm_vcpu *)av->vendor)->vmcb->control;

    if (want) {
        c->v_intr |= V_IRQ | V_INTR_PRIO_MAX | V_IGN_TPR;
        c->intercept3 |= (uint32_t)INTERCEPT_VINTR;
    } else if (c->intercept3 & INTERCEPT_VINTR) {
        c->v_intr &= ~(uint64_t)(V_IRQ | V_INTR_PRIO_MAX | V_IGN_TPR);
        c->intercept3 &= ~(uint32_t)INTERCEPT_VINTR;
    }
}

// A breakpoint that was held off may come again; a debugger hears of the step (APM vol. 2, 13.1.2).
__attribute__((noinline)) static void stepped(struct arch_vcpu *av, struct vmcb_save *s)
{
    s->rflags &= ~RFLAGS_RF;
    if (s->rflags & RFLAGS_TF) {
        s->dr6 |= DR6_BS;
        svm_inject(av, X86_EVENT_EXCEPTION, X86_DB, -1);
    }
}

static void svm_advance(struct arch_vcpu *av, uint32_t length)
{
    struct vmcb *vmcb = ((struct svm_vcpu *)av->vendor)->vmcb;

    vmcb->save.rip += length;
    vmcb->control.shadow = 0;
    if (__builtin_expect((vmcb->save.rflags & (RFLAGS_TF | RFLAGS_RF)) != 0, false)) {
        stepped(av, &vmcb->save);
    }
}

const struct x86_virt_ops svm_ops = {
    .name = "SVM",
    .format = &pt_x86_npt,
    .probe = svm_probe,
    .enable = svm_enable,
    .vcpu_create = svm_vcpu_create,
    .vcpu_destroy = svm_vcpu_destroy,
    .vcpu_reset = svm_vcpu_reset,
    .load = svm_load,
    .put = svm_put,
    .enter = svm_run,
    .get = svm_get,
    .set = svm_set,
    .get_segment = svm_get_segment,
    .set_segment = svm_set_segment,
    .get_code = svm_get_code,
    .get_msr = svm_get_msr,
    .set_msr = svm_set_msr,
    .inject = svm_inject,
    .can_interrupt = svm_can_interrupt,
    .want_window = svm_want_window,
    .can_nmi = svm_can_nmi,
    .want_nmi = svm_want_nmi,
    .advance = svm_advance,
};
