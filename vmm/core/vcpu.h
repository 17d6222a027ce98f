// SPDX-License-Identifier: Apache-2.0
//
// A schedulable guest CPU. It is a thread that spends its life in arch_vcpu_run(); others reach it by requests.
#pragma once

#include "arch/vcpu.h"
#include "kernel/sched/thread.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/vm.h"

enum vcpu_state {
    VCPU_OFF,
    VCPU_ON_PENDING,
    VCPU_RUNNING,
    VCPU_WAITING,
    VCPU_HELD,
    VCPU_DEAD
};

// Bits of arch_vcpu.requests: looked at before every entry.
#define VCPU_REQ_IRQ 1u     // the interrupt controller has something new
#define VCPU_REQ_STOP 2u    // leave arch_vcpu_run()
#define VCPU_REQ_PAUSE 4u   // look at vm->hold and at vcpu.call, outside arch_vcpu_run()
#define VCPU_REQ_RESCHED 8u // somebody better waits for the core: set on it, by the scheduler

// What happens when its thread has left the guest.
enum vcpu_next {
    VCPU_STAY_OFF,
    VCPU_AWAIT_START, // vcpu_park(): it is as good as off, the next vcpu_start() counts
    VCPU_START_AGAIN  // ... and has come
};

// Something to be done on the vCPU's own thread, between two of its instructions.
struct vcpu_call {
    void (*fn)(struct vcpu *v, void *ctx);
    void *ctx;
    struct completion done;
};

struct vcpu {
    struct arch_vcpu arch; // first: upcalls cast back
    struct vm *vm;
    unsigned index;
    struct thread *thread;
    _Atomic enum vcpu_state
        state; // one writer: its own thread, but OFF to ON_PENDING: the starter; from and to OFF: vm->lock
    enum vcpu_next next; // vm->lock
    struct io_cache mmio_cache;
    struct io_cache pio_cache, pio_byte_cache;
    struct gmem_window window; // where its code and page tables lay last
    struct timer wake_timer;   // an armed guest timer of a vCPU that is not loaded
    struct vcpu_entry entry;   // for the next start; vm->lock
    struct completion gone;    // its thread has left for good
    bool stolen_kept;          // the guest asked for a record of stolen time, ours or in its own memory
    uint64_t stolen_shared;    // where in its own memory it wants one; STOLEN_NOWHERE
    uint32_t stolen_sequence;
    uint8_t stolen_layout; // enum stolen_layout
    uint64_t stolen_base;  // thread.wait_ticks when the guest started
    uint64_t stolen_told;  // ... and when the record was written last
    bool in_session;       // its own thread's: between start and leaving, so its registers may be loaded
    bool resume;           // its own thread's: it left arch_vcpu_run() only to look at hold and call
    _Atomic(struct vcpu_call *) call;
    // Written by its own thread only; others may read at any time.
    struct vcpu_exit_stats {
        uint64_t count;
        uint64_t timed, ticks, max; // of those while timing was on: their number, ticks in the handler
    } exits[VCPU_EXIT_COUNT];
};

// The vCPU that runs on this CPU now, for handlers of its interrupts; NULL when none is loaded.
struct vcpu *vcpu_loaded(void);

// Creates the thread (parked) on host CPU `pcpu`. Worker thread.
enum status vcpu_create(struct vm *vm, unsigned index, unsigned pcpu, struct vcpu **out);
// The vCPU is parked.
void vcpu_destroy(struct vcpu *v);

// Makes a parked vCPU run from `entry`. E_STATE when it runs, E_BUSY when somebody else is starting it. Any thread.
enum status vcpu_start(struct vcpu *v, const struct vcpu_entry *entry);

// Parks another vCPU, whatever it does (INIT on a PC). It leaves as soon as its core lets it, but from now on vcpu_start() takes
// it for parked: the start is carried out once it has left. A start that it has not carried out yet is dropped. Any thread.
void vcpu_park(struct vcpu *v);

// Runs fn on the vCPU's thread with all its registers saved and, unless it is off, its guest translation loaded; on the
// caller's when it is off. Interrupts masked or not. E_TIMEOUT: not within `ticks`, and it will not be. Worker thread, one
// at a time for each vCPU.
enum status vcpu_call(struct vcpu *v, void (*fn)(struct vcpu *v, void *ctx), void *ctx, uint64_t ticks);

// Runs fn(ctx) on the CPU whose registers hold the vCPU's state, in interrupt context, and waits for it; false when it is not
// loaded. What the vCPU did before the call is seen. Takes as long as that CPU keeps interrupts masked. An exit handler of
// another vCPU of the same VM, no lock held: two that ask each other serve each other.
bool vcpu_ask(struct vcpu *v, void (*fn)(void *ctx), void *ctx);

const char *vcpu_state_name(enum vcpu_state s);
const char *vcpu_exit_name(enum vcpu_exit_kind kind);

// Whether handlers are timed too; counting is always on.
void vcpu_time_exits(bool on);
bool vcpu_exits_timed(void);

// Walks the guest's frame pointers from where it is, through its own translation: at most `max` return addresses, fewer when
// the chain stops being sane. On the vCPU's thread (vcpu_call() or an exit that has all registers).
unsigned vcpu_backtrace(struct vcpu *v, uint64_t *out, unsigned max);

// Waits as WFI does: until an interrupt is deliverable or somebody asks for attention. The vCPU's thread.
void vcpu_idle(struct vcpu *v);

// Waits until somebody asks for attention, whether or not an interrupt could be taken. The vCPU's thread.
void vcpu_halt(struct vcpu *v);

// The vCPU that the guest knows by this number; NULL when there is none.
struct vcpu *vcpu_find(struct vm *vm, uint64_t hw_id);

// Is it its thread that runs here, and that an interrupt has interrupted? Any context, interrupts masked.
static inline bool vcpu_is_current(const struct vcpu *v)
{
    return this_cpu()->current == v->thread;
}

// Answers VCPU_EXIT_HYPERCALL (vmm/core/call.c).
enum vcpu_verdict vcpu_hypercall(struct vcpu *v, struct vcpu_exit *e);

// The upcalls of every vCPU (vmm/core/run.c).
extern const struct vcpu_upcalls vcpu_upcalls;

// Sets request bits, then makes the vCPU look at them soon: an IPI when it runs on another CPU, a wake when it waits. Any context.
void vcpu_request(struct vcpu *v, uint32_t bits);
