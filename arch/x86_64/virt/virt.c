// SPDX-License-Identifier: Apache-2.0
//
// The virtualisation contract on x86_64: which vendor's extension this machine has, and what is the same for both.
#include "arch/virt.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "arch/x86_64/mmu/shootdown.h"
#include "arch/x86_64/virt/virt_local.h"
#include "kernel/log/log.h"
#include "kernel/mm/pt_format.h"

#define VMS_MAX 1024u // more than there is memory for

const struct x86_virt_ops *x86_ops;
static struct arch_vm *vms[VMS_MAX]; // by VMID

const struct pt_format *arch_host_pt_format(void)
{
    return &pt_x86_host;
}

const struct pt_format *arch_guest_pt_format(void)
{
    return x86_ops->format;
}

// Nothing is broken: the machine, or what its firmware was told, is of the wrong kind.
static _Noreturn void stop_here(const char *why)
{
    log_err("this machine cannot run guests: %s", why);
    log_err("under QEMU use -cpu max; a PC's firmware may have to be told to switch SVM or VT-x on");
    arch_cpu_halt();
}

enum status arch_virt_probe(struct virt_caps *caps)
{
    static const struct x86_virt_ops *const vendors[] = {&vmx_ops, &svm_ops};
    enum status s = E_NOENT;

    *caps = (struct virt_caps){.options = caps->options};
    for (unsigned i = 0; i < ARRAY_SIZE(vendors) && s == E_NOENT; i++) {
        x86_ops = vendors[i];
        s = vendors[i]->probe(caps);
    }
    if (s != OK) {
        stop_here(s == E_NOENT ? "this CPU has neither VMX nor SVM" : caps->text);
    }
    x86_cpuid_init();
    caps->vmid_count = VMS_MAX;
    return OK;
}

enum status arch_virt_enable(void)
{
    fp_init_cpu();
    return x86_ops->enable();
}

enum status arch_vm_create(struct arch_vm *vm, hpa_t root, unsigned vmid)
{
    if (vmid >= VMS_MAX) {
        return E_RANGE;
    }
    *vm = (struct arch_vm){.root = root, .vmid = vmid, .tsc_offset = 0 - arch_time_now()};
    vms[vmid] = vm;
    return OK;
}

void arch_vm_destroy(struct arch_vm *vm)
{
    vms[vm->vmid] = NULL;
}

const struct irq_file_ops *arch_irq_files(void)
{
    return NULL;
}

const struct apic_page_ops *arch_apic_pages(void)
{
    return x86_ops->apic_pages ? x86_ops->apic_pages() : NULL;
}

void arch_vm_hide_irq_regs(struct arch_vm *vm)
{
    (void)vm;
}

void arch_guest_cpu_describe(struct guest_cpu_desc *out)
{
    memset(out, 0, sizeof(*out));
}

// Whoever enters a vCPU of this VM from now on does it with an empty TLB; those that run one are made to leave it.
void arch_tlb_flush_guest(unsigned vmid, gpa_t base, uint64_t size)
{
    struct arch_vm *vm = vmid < VMS_MAX ? vms[vmid] : NULL;

    (void)base;
    (void)size;
    if (vm) {
        atomic_fetch_add(&vm->flush_count, 1);
        shootdown_all();
    }
}

// Every vCPU has an identifier of its own.
void arch_tlb_flush_guest_local(void)
{
}
