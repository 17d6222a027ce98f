// SPDX-License-Identifier: Apache-2.0
//
// The exit path's pieces: what virt/exit.S calls, and what the handlers share.
#pragma once

#include <asm/sysreg.h>
#include <asm/vcpu.h>

#include "arch/vcpu.h"

// What virt/exit.S does next; the values are known there.
enum exit_action {
    EXIT_RESUME = 0,
    EXIT_FULL = 1,
    EXIT_LEAVE = 2
};
// Upcalls that virt/exit_asm.S makes itself.
_Static_assert(EXIT_RESUME == (int)VCPU_RESUME && EXIT_LEAVE == (int)VCPU_LEAVE);

// Called by virt/exit.S.
// By exception class (ESR_EL2.EC); `full` is false.
typedef enum exit_action (*exit_handler)(struct guest_frame *f, uint64_t esr, bool full);
extern const exit_handler exit_handlers[EC_COUNT];
enum exit_action exit_full(struct guest_frame *f);
enum exit_action exit_serror(struct guest_frame *f);
void exit_enter(struct arch_vcpu *av, struct guest_frame *f);
void exit_leave(struct guest_frame *f);

// Handlers by exception class. `full` says whether the frame holds all registers; a handler that needs x19-x29 answers
// EXIT_FULL when it does not, before it changes anything.
enum exit_action exit_mmio(struct guest_frame *f, uint64_t esr, bool full);
enum exit_action exit_fetch(struct guest_frame *f, uint64_t esr, bool full);
enum exit_action exit_sysreg(struct guest_frame *f, uint64_t esr, bool full);
enum exit_action exit_smccc(struct guest_frame *f, uint64_t esr, bool full);

// Stops the VM: hands a FAULT to the core. All registers are in the frame.
enum exit_action exit_fail(struct guest_frame *f, const char *reason, uint64_t esr);

// An exit that ends without the core's help.
static inline void count_done(const struct guest_frame *f)
{
    f->vcpu->done++;
}

// Registers by number as instructions name them: 31 is zero.
static inline uint64_t frame_read(const struct guest_frame *f, unsigned r)
{
    return r == 31 ? 0 : f->x[r];
}

static inline void frame_write(struct guest_frame *f, unsigned r, uint64_t v)
{
    f->x[r] = v;
}

// x19-x29 are not in the frame of a light exit.
static inline bool frame_lacks(unsigned r)
{
    return r >= 19 && r <= 29;
}

static inline void frame_skip(struct guest_frame *f)
{
    f->pc += 4;
}

// Exceptions for the loaded guest (Arm DDI 0487, D1.3.5): the frame goes to its vector.
void inject_undefined(struct guest_frame *f);
// Synchronous external abort on a data access or fetch at `far`; `walk`: on a page-table walk.
void inject_abort(struct guest_frame *f, uint64_t far, bool fetch, bool walk);
