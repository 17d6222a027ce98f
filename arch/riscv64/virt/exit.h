// SPDX-License-Identifier: Apache-2.0
//
// The exit path's pieces: what virt/exit_asm.S calls, and what the handlers share.
#pragma once

#include <asm/csr.h>
#include <asm/vcpu.h>

#include "arch/vcpu.h"

// What virt/exit_asm.S does next; the values are known there.
enum exit_action {
    EXIT_RESUME = 0,
    EXIT_FULL = 1,
    EXIT_LEAVE = 2
};

// Called by virt/exit_asm.S.
enum exit_action exit_requests(struct guest_frame *f);
enum exit_action exit_full(struct guest_frame *f);
void exit_enter(struct arch_vcpu *av, struct guest_frame *f);
void exit_leave(struct guest_frame *f);

// Handlers by cause. `full` says whether the frame holds all registers; a handler that needs the callee-saved ones answers
// EXIT_FULL when it does not, before it changes anything. A handler that only does what is most frequent has no stack
// protector: its stack holds no array.
typedef enum exit_action (*exit_handler)(struct guest_frame *f, uint64_t cause, bool full);
extern const exit_handler exit_handlers[CAUSE_COUNT];

enum exit_action exit_load(struct guest_frame *f, uint64_t cause, bool full);
enum exit_action exit_store(struct guest_frame *f, uint64_t cause, bool full);
enum exit_action exit_fetch(struct guest_frame *f, uint64_t cause, bool full);
enum exit_action exit_sbi(struct guest_frame *f, uint64_t cause, bool full);

// Registers of the interrupt file that a guest with an emulated one has (virt/aia.c): one row of the virtual-instruction trap.
bool aia_is_access(uint32_t insn);
enum exit_action exit_aia(struct guest_frame *f, uint32_t insn, bool full);
void aia_line(bool level);           // of the loaded vCPU
void aia_save(struct guest_csrs *s); // where isa_has(ISA_SSAIA)
void aia_load(const struct arch_vcpu *av);
void aia_allow(const struct arch_vm *vm); // NULL: nobody's yet

// An upcall whose answer is only whether to leave.
enum exit_action exit_upcall(struct guest_frame *f, struct vcpu_exit *e);

// One load from the guest's memory by its own translation and privilege (hstatus.SPVP); goes to `failed` when that faults.
#define GUEST_LOAD(insn, value, va, failed)                                                \
    asm goto(".option push\n\t.option arch, +h\n1:\t" #insn " %0, (%1)\n\t.option pop\n\t" \
             ".pushsection trap_fixups, \"a\"\n\t.quad 1b, %l2\n\t.popsection"             \
             : "=r"(value)                                                                 \
             : "r"(va)                                                                     \
             : "memory"                                                                    \
             : failed)

// The instruction at the guest's pc by its own translation: two bytes, then two more where they are needed. False when it
// cannot be read (any more): the guest is to try again.
bool exit_fetch_insn(const struct guest_frame *f, uint32_t *insn);

// Did the guest's kernel trap, not its user mode?
static inline bool frame_in_kernel(const struct guest_frame *f)
{
    return (f->hstatus & HSTATUS_SPVP) != 0;
}

static inline uint64_t frame_read(const struct guest_frame *f, unsigned r)
{
    return f->x[r];
}

static inline void frame_write(struct guest_frame *f, unsigned r, uint64_t v)
{
    if (__builtin_expect(r != 0, 1)) {
        f->x[r] = v;
    }
}

// gp and the callee-saved registers are not in the frame of a light exit.
static inline bool frame_lacks(unsigned r)
{
    const uint32_t missing = 1u << 3 | 3u << 8 | 0x3FFu << 18;

    return missing >> r & 1;
}

// An exception for the loaded guest (RISC-V Privileged Architecture, 18.6.1): its frame goes to its trap vector.
void inject(struct guest_frame *f, uint64_t cause, uint64_t tval);

// Interrupts of the vCPU, by number (IRQ_SSI, IRQ_STI, IRQ_SEI). irq_post: an edge from any CPU, whoever calls has the vCPU
// look. irq_level: as arch_vcpu_set_irq(). irq_sync: what others posted goes to the loaded vCPU's hvip.
void irq_post(struct arch_vcpu *av, unsigned irq);
void irq_level(struct arch_vcpu *av, unsigned irq, bool level);
void irq_sync(struct arch_vcpu *av);

// The guest's timer is a host timer, for want of Sstc. Constant after boot; a byte for virt/exit_asm.S.
extern uint8_t vtimer_by_host;
void vtimer_set_by_host(struct arch_vcpu *av, uint64_t guest_time);
// The guest's deadline; the loaded vCPU.
static inline void vtimer_set(struct arch_vcpu *av, uint64_t guest_time)
{
    if (vtimer_by_host) {
        vtimer_set_by_host(av, guest_time);
    } else {
        csr_write(vstimecmp, guest_time);
    }
}
// Without Sstc: raises the guest's timer interrupt when it is due. At entry after host interrupts.
void vtimer_poll(struct arch_vcpu *av);
// Around a sleep: without a host interrupt for the guest's timer a host timer stands in.
void vtimer_watch(struct arch_vcpu *av);
void vtimer_rest(struct arch_vcpu *av);
// Waits until something interrupts the guest.
void guest_wait(struct guest_frame *f);
// Disarms the host timer altogether.
void vtimer_unwatch(struct arch_vcpu *av);
