// SPDX-License-Identifier: Apache-2.0
//
// The machine's guest interrupt files (RISC-V Advanced Interrupt Architecture 1.0, 2.2, 3.9 and 6.1).
//
// Each core lends its first guest file to the vCPU that is loaded there: hstatus.VGEIN selects it, the guest's sireg and
// stopei reach it without a trap, and what arrives interrupts the running guest by itself. State goes in at load and out at
// put, so a vCPU may go anywhere. Messages come through the hypervisor, which writes them to the file's page. While the
// vCPU sleeps, hgeie turns the file's signal into SGEI, which wakes it.
#include <asm/isa.h>
#include <asm/virt.h>

#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/virt_local.h"
#include "arch/virt.h"
#include "drivers/irqchip/imsic_csr.h"
#include "drivers/irqchip/imsic_virt.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/thread.h"

#define FILE_NUMBER 1u
#define FILE_BIT BIT64(FILE_NUMBER)
#define FILE_VGEIN ((uint64_t)FILE_NUMBER << HSTATUS_VGEIN_SHIFT)
#define SETEIPNUM_LE 0u

static volatile void *page_of[CPU_MAX];         // NULL: the CPU has no file
static struct thread *_Atomic sleeper[CPU_MAX]; // whom SGEI wakes

static struct guest_frame *frame_of(struct arch_vcpu *av)
{
    return av->frame ? av->frame : &av->start;
}

// vsireg reaches the file that the register itself selects now.
static uint64_t file_select(uint64_t vgein)
{
    csr_clear(hstatus, HSTATUS_VGEIN);
    csr_set(hstatus, vgein);
    return imsic_csr_read(CSR_VSISELECT);
}

static bool file_load(struct arch_vcpu *av, const struct irq_file *in)
{
    unsigned cpu = this_cpu()->index;
    struct guest_frame *f = frame_of(av);
    uint64_t select;

    if (!page_of[cpu]) {
        return false;
    }
    select = file_select(FILE_VGEIN);
    imsic_guest_write(IMSIC_EIDELIVERY, 0);
    for (unsigned w = 0; w < IRQ_FILE_WORDS; w++) {
        imsic_guest_write(IMSIC_EIP(64 * w), in->pending[w]);
        imsic_guest_write(IMSIC_EIE(64 * w), in->enable[w]);
    }
    imsic_guest_write(IMSIC_EITHRESHOLD, in->threshold);
    imsic_guest_write(IMSIC_EIDELIVERY, in->delivery);
    imsic_csr_write(CSR_VSISELECT, select);
    f->hstatus = (f->hstatus & ~HSTATUS_VGEIN) | FILE_VGEIN;
    av->file_cpu = cpu;
    arch_vcpu_set_irq(av, 0); // the file has its own way to the guest
    return true;
}

static void file_save(struct arch_vcpu *av, struct irq_file *out)
{
    struct guest_frame *f = frame_of(av);
    uint64_t select = file_select(FILE_VGEIN);

    csr_write(hgeie, 0);
    for (unsigned w = 0; w < IRQ_FILE_WORDS; w++) {
        out->pending[w] = imsic_guest_read(IMSIC_EIP(64 * w));
        out->enable[w] = imsic_guest_read(IMSIC_EIE(64 * w));
    }
    out->threshold = (uint32_t)imsic_guest_read(IMSIC_EITHRESHOLD);
    out->delivery = imsic_guest_read(IMSIC_EIDELIVERY) == 1;
    imsic_guest_write(IMSIC_EIDELIVERY, 0);
    imsic_csr_write(CSR_VSISELECT, select);
    f->hstatus &= ~HSTATUS_VGEIN;
}

// The load makes sure that the message has arrived: who takes the file away after us must find it there.
static void file_post(struct arch_vcpu *av, unsigned id)
{
    volatile void *page = page_of[av->file_cpu];

    mmio_write32(page, SETEIPNUM_LE, id);
    (void)mmio_read32(page, SETEIPNUM_LE);
}

static bool file_pending(struct arch_vcpu *av)
{
    if (csr_read(hgeip) & FILE_BIT) {
        return true;
    }
    sleeper[av->file_cpu] = vtimer_thread(av);
    csr_write(hgeie, FILE_BIT);
    return false;
}

void irq_files_rest(void)
{
    if (page_of[this_cpu()->index]) {
        csr_write(hgeie, 0);
    }
}

static enum irq_result woken(unsigned irq, void *ctx)
{
    struct thread *t = sleeper[this_cpu()->index];

    (void)irq;
    (void)ctx;
    csr_write(hgeie, 0); // it stays pending until the guest deals with it
    if (t) {
        thread_wake(t);
    }
    return IRQ_HANDLED;
}

// GEILEN is how many bits of hgeie there are. A file with fewer identities than guests are told of is of no use.
void irq_files_init_cpu(void)
{
    static bool registered;
    unsigned cpu = this_cpu()->index;
    hpa_t page = imsic_guest_file(cpu, FILE_NUMBER);
    bool exists;

    csr_write(hgeie, FILE_BIT);
    exists = csr_read(hgeie) & FILE_BIT;
    csr_write(hgeie, 0);
    if (!exists || !page.v || !isa_has(ISA_SSAIA) || imsic_ids() < IRQ_FILE_IDS - 1) {
        return;
    }
    if (!registered && irq_register(IRQ_SGEI, IRQ_LEVEL, woken, NULL) != OK) {
        return;
    }
    registered = true;
    irq_enable_percpu(IRQ_SGEI);
    page_of[cpu] = mmio_map(page, PAGE_SIZE);
}

const struct irq_file_ops *arch_irq_files(void)
{
    static const struct irq_file_ops ops = {
        .load = file_load, .save = file_save, .post = file_post, .pending = file_pending};

    return isa_has(ISA_SSAIA) ? &ops : NULL;
}

const struct apic_page_ops *arch_apic_pages(void)
{
    return NULL;
}
