// SPDX-License-Identifier: Apache-2.0
//
// Intel VMX (Intel SDM vol. 3C, chapters 23 to 28): probing, turning on, a vCPU's life, entering. Needed are EPT, unrestricted
// guests and switching of EFER and PAT, which came together with the first CPUs of 2010; what else a CPU may lack has a
// software path.
#include <stdio.h>
#include <string.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "arch/x86_64/vmx/vmx_local.h"
#include "kernel/cpu/cpu.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/pt_format.h"

#define CPUID1_ECX_VMX BIT64(5)
#define VPID_LAST 0xFFFFu
#define MAP_WRITE 2048 // of the MSR bitmap: reads are in its first half
#define MAP_HIGH 1024
#define LEVEL_1G 1
#define DEAF_US 1000
// Of a VMCS of Bochs: up to 3.0 it delivers a virtual interrupt to a guest that has masked them when one of the host's comes.
#define REVISION_BOCHS 0x2B

// One of each CPU.
struct vmx_cpu {
    uint32_t next_vpid;
    uint32_t generation; // of VPIDs: 0 is never a vCPU's
};

static struct vmx_cpu cpus[CPU_MAX];
uint32_t vmx_controls[VMX_CONTROL_COUNT];
unsigned vmx_physical_bits;
static uint64_t ept_caps;
static uint32_t revision;
static struct pt_format ept; // less what the CPU lacks

bool vmx_enter(uint64_t r[X86_REG_COUNT], bool launched);

// ---- the machine ----------------------------------------

static const struct vmx_wish wishes[VMX_CONTROL_COUNT] = {
    [VMX_PIN] = {.required = PIN_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI,
                 .optional = PIN_PREEMPTION | PIN_POSTED},
    [VMX_PRIMARY] = {.required = PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_RDPMC |
                                 PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_IO | PRIMARY_MSR_BITMAP |
                                 PRIMARY_MONITOR | PRIMARY_SECONDARY,
                     .optional = PRIMARY_TPR_SHADOW,
                     .unwanted = PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE | PRIMARY_WINDOW | PRIMARY_NMI_WINDOW},
    [VMX_SECONDARY] = {.required = SECONDARY_EPT | SECONDARY_UNRESTRICTED,
                       .optional = SECONDARY_RDTSCP | SECONDARY_VPID | SECONDARY_WBINVD |
                                   SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS |
                                   SECONDARY_VIRTUAL_INTERRUPTS},
    [VMX_EXIT] = {.required = EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT |
                              EXIT_SAVE_EFER | EXIT_LOAD_EFER,
                  .optional = EXIT_SAVE_TIMER | EXIT_ACKNOWLEDGE},
    [VMX_ENTRY] = {.required = ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
                   .unwanted = ENTRY_GUEST_64},
};

static enum status refuse(struct virt_caps *caps, const char *why)
{
    snprintf(caps->text, sizeof(caps->text), "%s", why);
    return E_UNSUPPORTED;
}

static bool choose_controls(void)
{
    static const uint32_t plain[] = {MSR_VMX_PIN, MSR_VMX_PRIMARY, MSR_VMX_SECONDARY, MSR_VMX_EXIT,
                                     MSR_VMX_ENTRY};
    static const uint32_t exact[] = {MSR_VMX_TRUE_PIN, MSR_VMX_TRUE_PRIMARY, MSR_VMX_SECONDARY,
                                     MSR_VMX_TRUE_EXIT, MSR_VMX_TRUE_ENTRY};
    const uint32_t *msrs = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE ? exact : plain;

    for (unsigned i = 0; i < VMX_CONTROL_COUNT; i++) {
        // The secondary controls' MSR exists when the primary ones have the bit.
        if (!vmx_controls_fit(&wishes[i], rdmsr(msrs[i]), &vmx_controls[i])) {
            return false;
        }
    }
    return true;
}

// The timer is of use when it goes on where an exit stopped it.
static void choose_timer(void)
{
    if (!(vmx_controls[VMX_EXIT] & EXIT_SAVE_TIMER) || !(vmx_controls[VMX_PIN] & PIN_PREEMPTION)) {
        vmx_controls[VMX_EXIT] &= ~EXIT_SAVE_TIMER;
        vmx_controls[VMX_PIN] &= ~PIN_PREEMPTION;
    }
}

static bool choose_ept(void)
{
    ept_caps = rdmsr(MSR_VMX_EPT_VPID);
    ept = pt_x86_ept;
    if (!(ept_caps & EPT_CAP_1G)) {
        ept.leaf_levels &= (uint8_t) ~(1u << LEVEL_1G);
    }
    if (!(ept_caps & EPT_CAP_INVVPID) || !(ept_caps & EPT_CAP_INVVPID_ALL)) {
        vmx_controls[VMX_SECONDARY] &= ~SECONDARY_VPID;
    }
    return (ept_caps & EPT_CAP_WALK4) && (ept_caps & EPT_CAP_WB) && (ept_caps & EPT_CAP_2M) &&
           (ept_caps & EPT_CAP_INVEPT) && (ept_caps & (EPT_CAP_INVEPT_ONE | EPT_CAP_INVEPT_ALL));
}

void vmx_open_msr(uint8_t *bitmap, uint32_t msr, bool write)
{
    uint8_t *map = bitmap + (write ? MAP_WRITE : 0) + (msr < 0x2000 ? 0 : MAP_HIGH);
    uint32_t bit = msr & 0x1FFF;

    map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

// Registers that the guest reaches without an exit; every other access leaves it.
static enum status make_msr_bitmap(enum vmx_apic_level apic, bool posts)
{
    static const uint32_t open[] = {0x174,     0x175,      0x176,       MSR_STAR,    MSR_LSTAR,
                                    MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};

    void *msr_bitmap = page_alloc(0);

    if (!msr_bitmap) {
        return E_NOMEM;
    }
    memset(msr_bitmap, 0xFF, PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(open); i++) {
        vmx_open_msr(msr_bitmap, open[i], false);
        vmx_open_msr(msr_bitmap, open[i], true);
    }
    return vmx_apic_init(apic, msr_bitmap, revision == REVISION_BOCHS, posts);
}

static enum status vmx_probe(struct virt_caps *caps)
{
    static const char *const apic_text[] = {[VMX_APIC_NONE] = "",
                                            [VMX_APIC_PRIORITY] = ", TPR shadow",
                                            [VMX_APIC_DELIVERY] =
                                                ", APIC registers, virtual-interrupt delivery"};
    enum vmx_apic_level apic;
    const char *why;
    bool posts;

    if (!(cpuid_read(1, 0).ecx & CPUID1_ECX_VMX)) {
        return E_NOENT;
    }
    why = vmx_refusal(rdmsr(MSR_FEATURE_CONTROL), choose_controls() && choose_ept());
    if (why) {
        return refuse(caps, why);
    }
    choose_timer();
    apic = vmx_apic_choose(vmx_controls);
    revision = (uint32_t)(rdmsr(MSR_VMX_BASIC) & VMX_BASIC_REVISION);
    posts = vmx_posts_choose(vmx_controls, apic, vmx_posts_wanted(caps->options));
    vmx_physical_bits = cpuid_read(0x80000008, 0).eax & 0xFF;
    caps->ipa_bits = vmx_physical_bits < 48 ? vmx_physical_bits : 48;
    caps->name = "VMX";
    snprintf(caps->text, sizeof(caps->text), "EPT%s, unrestricted guests%s%s%s",
             ept_caps & EPT_CAP_1G ? " with 1 GiB pages" : "",
             vmx_controls[VMX_SECONDARY] & SECONDARY_VPID ? ", VPID" : "", apic_text[apic],
             posts ? ", posted interrupts" : "");
    return make_msr_bitmap(apic, posts);
}

static void *region_alloc(void)
{
    void *page = page_alloc_zeroed(0);

    if (page) {
        memcpy(page, &revision, sizeof(revision));
    }
    return page;
}

static enum status vmx_enable(void)
{
    void *region = region_alloc();
    uint64_t feature = rdmsr(MSR_FEATURE_CONTROL), pa;

    if (!region) {
        return E_NOMEM;
    }
    if (!(feature & FEATURE_CONTROL_LOCK)) {
        wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
    }
    creg_write(cr4, creg_read(cr4) | CR4_VMXE);
    pa = arch_virt_to_phys(region).v;
    asm goto("vmxon %0\n\tjbe %l[refused]" ::"m"(pa) : "cc", "memory" : refused);
    cpus[this_cpu()->index].next_vpid = VPID_LAST + 1; // the first vCPU begins a generation
    return OK;
refused:
    page_free(region, 0);
    return E_UNSUPPORTED;
}

// ---- a vCPU ----------------------------------------

static void vmx_vcpu_reset(struct arch_vcpu *av)
{
    unsigned long state = vmcs_acquire(av);

    vmx_setup(av);
    vmcs_release(av, state);
}

static enum status vmx_vcpu_create(struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = pool_alloc(sizeof(*vv));

    if (!vv) {
        return E_NOMEM;
    }
    *vv = (struct vmx_vcpu){.vmcs = region_alloc()};
    if (!vv->vmcs) {
        goto out_vcpu;
    }
    if (vmx_apic_create(vv) != OK) {
        goto out_vmcs;
    }
    vv->vmcs_pa = arch_virt_to_phys(vv->vmcs);
    asm volatile("vmclear %0" ::"m"(vv->vmcs_pa.v) : "cc", "memory");
    av->vendor = vv;
    vmx_vcpu_reset(av);
    return OK;

out_vmcs:
    page_free(vv->vmcs, 0);
out_vcpu:
    pool_free(vv, sizeof(*vv));
    return E_NOMEM;
}

static void vmx_vcpu_destroy(struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = vmx_of(av);

    vmx_apic_destroy(vv);
    memset(vv->vmcs, 0, PAGE_SIZE); // registers of a guest do not linger
    page_free(vv->vmcs, 0);
    pool_free(vv, sizeof(*vv));
    av->vendor = NULL;
}

// ---- address spaces ----------------------------------------

struct invalidation {
    uint64_t what, zero;
};

static void invept(uint64_t eptp)
{
    struct invalidation d = {.what = eptp};
    uint64_t type = ept_caps & EPT_CAP_INVEPT_ONE ? INVEPT_ONE : INVEPT_ALL;

    asm volatile("invept %0, %1" ::"m"(d), "r"(type) : "cc", "memory");
}

// When there are no more identifiers, all are forgotten and they start again.
static void give_vpid(struct vmx_vcpu *vv, struct vmx_cpu *c)
{
    if (c->next_vpid > VPID_LAST) {
        struct invalidation d = {0};

        c->next_vpid = 1; // 0 is the host's
        c->generation++;
        asm volatile("invvpid %0, %1" ::"m"(d), "r"((uint64_t)INVVPID_ALL) : "cc", "memory");
    }
    vmcs_write(VMCS_VPID, c->next_vpid++);
    vv->generation = c->generation;
}

// What this CPU remembers of the nested table is forgotten when that has changed, and when the vCPU comes from elsewhere: others
// may have changed it meanwhile. A vCPU that comes gets an identifier under which this CPU knows nothing.
static void refresh(struct arch_vcpu *av, struct vmx_vcpu *vv, unsigned cpu)
{
    uint32_t changes = atomic_load_explicit(&av->vm->flush_count, memory_order_acquire);
    bool moved = vv->cpu != cpu;

    if (moved || av->flushed != changes) {
        invept(av->vm->root.v | EPTP_WB | EPTP_WALK4);
        av->flushed = changes;
        __atomic_store_n(&vv->cpu, cpu, __ATOMIC_RELAXED); // posters read it
    }
    if ((vmx_controls[VMX_SECONDARY] & SECONDARY_VPID) && (moved || vv->generation != cpus[cpu].generation)) {
        give_vpid(vv, &cpus[cpu]);
    }
}

static void vmx_load(struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = vmx_of(av);

    vmcs_load(vv);
    vmx_load_kept(vv);
    vmx_setup_host();
}

static void vmx_put(struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = vmx_of(av);

    vmx_save_kept(vv);
    vmcs_clear(vv);
}

// ---- events ----------------------------------------

// In real mode exceptions have no error code (26.2.1.3).
void vmx_inject(struct arch_vcpu *av, enum x86_event type, uint8_t vector, int64_t error)
{
    struct vmx_vcpu *vv = vmx_of(av);

    vv->event = EVENT_VALID | (uint32_t)type << EVENT_TYPE_SHIFT | vector;
    if (error >= 0 && (vmcs_read(VMCS_GUEST_CR0) & CR0_PE)) {
        vv->event |= EVENT_ERROR;
        vv->event_error = (uint32_t)error;
    }
}

static bool vmx_can_interrupt(const struct arch_vcpu *av)
{
    return !vmx_of(av)->event && (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF) &&
           !(vmcs_read(VMCS_GUEST_SHADOW) & (SHADOW_STI | SHADOW_MOV_SS));
}

static void vmx_want_window(struct arch_vcpu *av, bool want)
{
    struct vmx_vcpu *vv = vmx_of(av);

    if (vv->window != want) {
        vv->window = want;
        vv->primary ^= PRIMARY_WINDOW;
        vmcs_write(VMCS_PRIMARY_CONTROLS, vv->primary);
    }
}

static bool vmx_can_nmi(const struct arch_vcpu *av)
{
    return !vmx_of(av)->event && !(vmcs_read(VMCS_GUEST_SHADOW) & (SHADOW_STI | SHADOW_MOV_SS | SHADOW_NMI));
}

static void vmx_want_nmi(struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = vmx_of(av);

    vv->primary |= PRIMARY_NMI_WINDOW; // vmx_intercept.c takes it back
    vmcs_write(VMCS_PRIMARY_CONTROLS, vv->primary);
}

void vmx_clear_shadow(struct arch_vcpu *av)
{
    uint64_t shadow = vmcs_read(VMCS_GUEST_SHADOW);

    (void)av;
    if (shadow & (SHADOW_STI | SHADOW_MOV_SS)) {
        vmcs_write(VMCS_GUEST_SHADOW, shadow & ~(uint64_t)(SHADOW_STI | SHADOW_MOV_SS));
    }
}

// Outside of 64-bit code the hardware does not take a RIP of more than 32 bits. A breakpoint that was held off may come
// again; a debugger hears of the step (vol. 3B, 17.3.1.4).
void vmx_advance(struct arch_vcpu *av, uint32_t length)
{
    uint64_t old = vmcs_read(VMCS_GUEST_RIP), rip = old + length, flags = vmcs_read(VMCS_GUEST_RFLAGS);

    if ((old ^ rip) >> 32) {
        struct x86_seg cs;

        vmx_get_segment(av, X86_CS, &cs);
        rip &= cs.attr & X86_SEG_LONG ? UINT64_MAX : UINT32_MAX;
    }
    vmcs_write(VMCS_GUEST_RIP, rip);
    vmx_clear_shadow(av);
    if (flags & RFLAGS_RF) {
        vmcs_write(VMCS_GUEST_RFLAGS, flags & ~RFLAGS_RF);
    }
    if (flags & RFLAGS_TF) {
        creg_write(dr6, creg_read(dr6) | DR6_BS);
        vmx_inject(av, X86_EVENT_EXCEPTION, X86_DB, -1);
    }
}

static void put_event(struct vmx_vcpu *vv)
{
    if (vv->event) {
        vmcs_write(VMCS_ENTRY_EVENT, vv->event);
        if (vv->event & EVENT_ERROR) {
            vmcs_write(VMCS_ENTRY_EVENT_ERROR, vv->event_error);
        }
    }
}

// An event whose delivery the exit interrupted is delivered again. One that an instruction asked for comes by itself: RIP is
// still at the instruction. True: there was one.
static bool keep_event(struct vmx_vcpu *vv)
{
    uint32_t e = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT);

    vv->event = 0;
    if (!(e & EVENT_VALID)) {
        return false;
    }
    if (EVENT_TYPE(e) == EVENT_NMI) { // its delivery blocks them, again
        vmcs_write(VMCS_GUEST_SHADOW, vmcs_read(VMCS_GUEST_SHADOW) & ~(uint64_t)SHADOW_NMI);
    }
    if (EVENT_TYPE(e) < EVENT_SOFT) {
        vv->event = e;
        vv->event_error = (uint32_t)vmcs_read(VMCS_VECTORING_ERROR);
    }
    return true;
}

// ---- running ----------------------------------------

static void restart_timer(void)
{
    uint64_t ticks = arch_time_hz() / 1000000 * DEAF_US;

    vmcs_write(VMCS_PREEMPTION_TIMER, (ticks >> (rdmsr(MSR_VMX_MISC) & VMX_MISC_TIMER_SHIFT)) + 1);
}

static void describe_exit(struct arch_vcpu *av, struct vmx_vcpu *vv, struct x86_exit *out)
{
    struct vmx_exit in = {.reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON), .vectoring = keep_event(vv)};

    in.length = (uint32_t)vmcs_read(VMCS_EXIT_LENGTH);
    in.qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
    if (in.reason == REASON_EPT_VIOLATION) {
        in.gpa = vmcs_read(VMCS_GUEST_PHYSICAL);
    }
    if (in.reason == REASON_APIC_ACCESS) {
        in.gpa = av->vm->apic_base.v + (in.qualification & (PAGE_SIZE - 1));
    }
    if (in.reason == REASON_PREEMPTION) {
        restart_timer();
    }
    if (!vmx_intercept(av, &in, out)) {
        vmx_decode(&in, out);
    }
    if (in.reason == REASON_INTERRUPT && (vmx_controls[VMX_EXIT] & EXIT_ACKNOWLEDGE)) {
        arch_irq_note((uint8_t)vmcs_read(VMCS_EXIT_EVENT));
        out->kind = X86_EXIT_TAKEN;
    }
}

// Host interrupts end a guest's run whether it has masked them or not. Bochs 2.7 loses sight of that when a guest is entered
// with them masked: there the preemption timer is another end, of what it has run in all since it masked them.
static void limit_deaf(struct vmx_vcpu *vv)
{
    bool deaf = !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF);

    if (deaf != vv->limited && (vmx_controls[VMX_PIN] & PIN_PREEMPTION)) {
        vv->limited = deaf;
        restart_timer();
        vmcs_write(VMCS_PIN_CONTROLS, vmx_apic_pin(vv) | (deaf ? PIN_PREEMPTION : 0));
        vmcs_write(VMCS_EXIT_CONTROLS, vmx_controls[VMX_EXIT] ^ (deaf ? 0 : EXIT_SAVE_TIMER));
    }
}

static void vmx_run(struct arch_vcpu *av, struct x86_exit *out)
{
    struct vmx_vcpu *vv = vmx_of(av);
    bool entered;

    if (vv->apic.threshold && vmx_apic_priority_fell(vv)) {
        *out = (struct x86_exit){.kind = X86_EXIT_APIC, .apic = {.event = X86_APIC_PRIORITY}};
        return;
    }
    refresh(av, vv, this_cpu()->index);
    put_event(vv);
    limit_deaf(vv);
    vmcs_write(VMCS_GUEST_RSP, av->r[X86_RSP]);
    vmx_apic_enter(vv);
    entered = vmx_enter(av->r, vv->launched);
    vmx_apic_leave(vv);
    if (!entered) {
        *out = (struct x86_exit){.kind = X86_EXIT_FAILED, .reason = vmcs_read(VMCS_INSTRUCTION_ERROR)};
        return;
    }
    vv->launched = true;
    av->r[X86_RSP] = vmcs_read(VMCS_GUEST_RSP);
    describe_exit(av, vv, out);
}

const struct x86_virt_ops vmx_ops = {
    .name = "VMX",
    .format = &ept,
    .probe = vmx_probe,
    .enable = vmx_enable,
    .vcpu_create = vmx_vcpu_create,
    .vcpu_destroy = vmx_vcpu_destroy,
    .vcpu_reset = vmx_vcpu_reset,
    .load = vmx_load,
    .put = vmx_put,
    .enter = vmx_run,
    .get = vmx_get,
    .set = vmx_set,
    .get_segment = vmx_get_segment,
    .set_segment = vmx_set_segment,
    .get_code = vmx_get_code,
    .get_msr = vmx_get_msr,
    .set_msr = vmx_set_msr,
    .inject = vmx_inject,
    .can_interrupt = vmx_can_interrupt,
    .want_window = vmx_want_window,
    .can_nmi = vmx_can_nmi,
    .want_nmi = vmx_want_nmi,
    .advance = vmx_advance,
    .apic_pages = vmx_apic_pages,
    .describe_apic = vmx_apic_describe,
};
