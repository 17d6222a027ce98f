// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 6: a virtual CPU.
//
// arch_vcpu_run() enters the guest and handles traps on the vCPU thread's own stack. An architecture decodes each trap
// into one neutral `struct vcpu_exit` and hands it to the table of upcalls; what needs no device (its own system
// registers, say) it finishes alone. Nothing here knows a device, a bus or a scheduler.
#pragma once

#include "kernel/lib/io_access.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#include <asm/vcpu.h> // struct arch_vcpu

enum vcpu_exit_kind {
    VCPU_EXIT_DONE,         // finished by the architecture
    VCPU_EXIT_IRQ,          // a host interrupt
    VCPU_EXIT_MMIO,         // access to an unmapped or read-only guest physical address
    VCPU_EXIT_PIO,          // port access
    VCPU_EXIT_HYPERCALL,    // firmware-style call the architecture has no answer for
    VCPU_EXIT_IDLE,         // WFI, HLT
    VCPU_EXIT_IPI,          // a write to the interrupt controller's "send to other CPUs" register
    VCPU_EXIT_SYSREG,       // a register of the interrupt controller's CPU interface that is emulated
    VCPU_EXIT_CPU_ON,       // start another vCPU
    VCPU_EXIT_CPU_OFF,      // this vCPU stops
    VCPU_EXIT_POWEROFF,     // the guest turns itself off
    VCPU_EXIT_RESET,        // the guest resets itself
    VCPU_EXIT_FAULT,        // nothing architectural can be done: stop the VM with a fault card
    VCPU_EXIT_ENTRY_FAILED, // the hardware refused to enter the guest
    VCPU_EXIT_NO_PORT,      // counted once more: nobody answers at that port
    VCPU_EXIT_NO_REGISTER,  // counted once more: the guest has no such register, or it cannot have that value
    VCPU_EXIT_COUNT
};

struct vcpu_exit {
    enum vcpu_exit_kind kind;
    union {
        struct {
            gpa_t gpa;
            bool exec;    // instruction fetch: no device can answer
            bool refused; // no device has, upcall mmio() says
            union {
                struct {
                    uint64_t unused_offset;
                    uint64_t value; // to write, or what was read; zero-extended
                    uint8_t size;   // bytes: 1 2 4 8
                    bool write;
                };
                struct io_access access; // the same, as it goes to the device
            };
        } mmio;
        struct {
            uint16_t port;
            struct io_access access; // of 1, 2 or 4 bytes
        } pio;
        struct {
            // Interrupts are masked and do not end it (HLT): it returns at any request, for an NMI might.
            bool deaf;
        } idle;
        struct {
            uint64_t target; // MPIDR affinity, hart id or APIC id
            uint64_t entry;
            uint64_t arg;
            int64_t result; // neutral: 0, or a negative enum status for the architecture to translate
        } cpu_on;
        struct {
            unsigned which; // as struct virqchip_ops.send_sgi
            uint64_t value;
        } ipi;
        struct {
            unsigned number; // as struct virqchip_ops.sysreg
            bool write;
            uint64_t set, clear; // bits, of the old value
            uint64_t old;        // what is read
            bool handled;        // false: no such register
        } sysreg;
        struct {
            uint64_t function;
            uint64_t args[6];
            uint64_t result[4];
            bool handled;
        } hypercall;
        struct {
            const char *reason; // static text, for the fault card
            uint64_t syndrome;
            gva_t gva; // VCPU_GVA_UNKNOWN: the hardware does not tell
            gpa_t gpa;
            bool gpa_valid;
        } fault;
    };
};

#define VCPU_GVA_UNKNOWN UINT64_MAX

// Questions that an architecture's firmware interface asks the core by VCPU_EXIT_HYPERCALL; above every firmware's own
// function numbers.
#define VCPU_CALL_CPU_STATE \
    (UINT64_C(1) << 32) // args[0]: target; result[0]: 0 on, 1 off, 2 coming up; unhandled: no such CPU
#define VCPU_CALL_KICK ((UINT64_C(1) << 32) + 1) // args[0]: target, which is to look at its interrupts soon
// The firmware's console: args[0] guest physical address, args[1] length; result[0] what was taken or given. Unhandled: not
// this guest's memory. PUTC: args[0] the character. GETC: result[0]; unhandled when there is none.
#define VCPU_CALL_CONSOLE_WRITE ((UINT64_C(1) << 32) + 2)
#define VCPU_CALL_CONSOLE_READ ((UINT64_C(1) << 32) + 3)
#define VCPU_CALL_CONSOLE_PUTC ((UINT64_C(1) << 32) + 4)
#define VCPU_CALL_CONSOLE_GETC ((UINT64_C(1) << 32) + 5)
#define VCPU_CALL_STOLEN_TIME \
    ((UINT64_C(1) << 32) + 6) // result[0]: where the caller's record is; unhandled: nowhere
#define VCPU_CALL_STOLEN_SHARE \
    ((UINT64_C(1) << 32) +     \
     7) // args[0]: where in its memory the caller wants it, [1]: layout, as stolen_share(); result[0]: its status
#define VCPU_CALL_CODE_CHECK \
    ((UINT64_C(1) << 32) + 8) // args[0]: guest physical address; unhandled: no code can be there

// What the neutral core does about an exit, as seen by the architecture.
enum vcpu_verdict {
    VCPU_RESUME, // go on; the architecture finishes the instruction first (load the value, advance the pc)
    VCPU_ABORT,  // MMIO: nobody answers there; inject the architecture's synchronous external abort
    VCPU_LEAVE,  // return from arch_vcpu_run()
};

// Called by arch_vcpu_run() on the vCPU's own thread, interrupts masked, no lock held.
struct vcpu_upcalls {
    // An exit of any kind but DONE, IRQ and PIO.
    enum vcpu_verdict (*exit)(struct arch_vcpu *av, struct vcpu_exit *exit);
    // A data access, by far the most frequent exit: gpa and `a` (but for offset and vcpu) are set. 0: a device has answered.
    // Otherwise nothing has happened, and exit() with VCPU_EXIT_MMIO is to be asked what to do.
    unsigned (*mmio)(struct arch_vcpu *av, struct io_access *a, gpa_t gpa);
    // A port access (x86_64): `a` is set but for offset and vcpu. Where nobody answers, reads give all ones.
    void (*pio)(struct arch_vcpu *av, struct io_access *a, uint16_t port);
    // An access to a register of the interrupt controller's CPU interface that is written whole (x86_64): as exit() with
    // VCPU_EXIT_SYSREG. False: there is no such register, or it cannot have this value.
    bool (*sysreg)(struct arch_vcpu *av, unsigned number, bool write, uint64_t *value);
    // The guest can take an interrupt now, and has to be told which (x86_64): its vector, which is in service from now on;
    // negative when none waits any more. Asked for while arch_vcpu_set_irq() says that one does, which is over with it.
    int (*take_irq)(struct arch_vcpu *av);
    // The guest's memory, for decoding its instructions and page tables; false when that is not (all) RAM.
    bool (*read)(struct arch_vcpu *av, gpa_t gpa, void *buf, unsigned len);
    // The same without a copy, as far as that is possible: NULL says nothing. Good until the next upcall; the guest may be
    // changing it.
    const void *(*peek)(struct arch_vcpu *av, gpa_t gpa, unsigned len);
    // Into the guest's memory, for instructions that reach a device and memory at once; false when that is not (all) RAM.
    bool (*write)(struct arch_vcpu *av, gpa_t gpa, const void *buf, unsigned len);
    // Compare and swap of an aligned word there, 4 or 8 bytes, at once: `old` becomes what was there, `v` is there if that was
    // the same before. False, and nothing has happened: not RAM, or not to be written.
    bool (*swap)(struct arch_vcpu *av, gpa_t gpa, unsigned size, uint64_t *old, uint64_t v);
    // The guest waits for an interrupt, as exit() with VCPU_EXIT_IDLE: the usual way from one vCPU to another.
    void (*idle)(struct arch_vcpu *av);
    // A host interrupt is pending: take and dispatch it, let the scheduler run.
    void (*host_irq)(struct arch_vcpu *av);
    // Called before every entry while av->requests is not zero. VCPU_LEAVE leaves.
    enum vcpu_verdict (*requests)(struct arch_vcpu *av);
};

// Where a vCPU starts: the architecture's boot protocol state is derived from these.
struct vcpu_entry {
    uint64_t pc;
    uint64_t arg;   // x0 / a1 / rsi: usually the guest address of the device tree
    uint64_t hw_id; // a0 on riscv64
    uint8_t mode;   // architecture's own: 0 is the default (EL1h AArch64, VS-mode, 64-bit Linux entry)
};

// `index` is the vCPU's number in its VM: it becomes MPIDR affinity, hart id or APIC id.
enum status arch_vcpu_create(struct arch_vcpu *av, struct arch_vm *vm, unsigned index,
                             const struct vcpu_upcalls *up);
void arch_vcpu_destroy(struct arch_vcpu *av);

// The identity that the guest knows it by and other vCPUs address it with: MPIDR affinity, hart id, APIC id.
uint64_t arch_vcpu_hw_id(const struct arch_vcpu *av);

// Puts all registers into the architectural reset state, then applies `entry`. The vCPU is not loaded anywhere.
void arch_vcpu_reset(struct arch_vcpu *av, const struct vcpu_entry *entry);

// Moves system registers and FP/SIMD state into and out of the running CPU. Interrupts masked. A vCPU stays loaded
// while other threads run, until another vCPU is loaded on that CPU.
void arch_vcpu_load(struct arch_vcpu *av);
// Returns when the guest next needs the CPU for one of its timers, as arch_vcpu_timer_deadline(av, 0); 0 when one has expired.
uint64_t arch_vcpu_put(struct arch_vcpu *av);

// When the guest next needs the CPU for one of its timers, in arch_time_now() ticks; UINT64_MAX when none is armed.
// Valid for a vCPU that is not loaded, or on the CPU where it is loaded. `ignore`: timers that do not count, bits as below.
uint64_t arch_vcpu_timer_deadline(const struct arch_vcpu *av, uint32_t ignore);

// Which vtimer lines are asserted now (bit 0: virtual, bit 1: physical); same validity. ARCH_VCPU_TIMERS_TELL in asm/vcpu.h: 1
// when a loaded guest's timer that expires interrupts the host, so that they need not be looked at before a vCPU sleeps.
uint32_t arch_vcpu_timer_lines(const struct arch_vcpu *av);

// The host interrupts by which the loaded guest's own timers announce themselves, and the guest's numbers for them (per-CPU
// inputs of its interrupt controller). Returns how many. Constant.
struct vcpu_timer_irq {
    unsigned host_irq;
    unsigned guest_line;
};
unsigned arch_vcpu_timer_irqs(const struct vcpu_timer_irq **out);

// Enters the guest and stays until an upcall says VCPU_LEAVE. The vCPU is loaded on this CPU. Interrupts masked.
void arch_vcpu_run(struct arch_vcpu *av);

// Virtual interrupt lines of a vCPU whose interrupt controller's CPU interface is emulated; a reset lowers them. On the CPU
// where it is loaded, interrupts masked, or while it is loaded nowhere.
#define VCPU_LINE_IRQ 1u
#define VCPU_LINE_FIQ 2u
#define VCPU_LINE_NMI 4u // x86_64: an edge, remembered until the guest has taken it
void arch_vcpu_set_irq(struct arch_vcpu *av, uint32_t lines);

// True when the idle instruction traps; the scheduler's choice. Takes effect at the next entry.
void arch_vcpu_trap_idle(struct arch_vcpu *av, bool trap);

// Register access by specification number (aarch64: 0-30 x, 31 sp, 32 pc, 33 pstate). For dumps and the shell; the vCPU
// is not running.
uint64_t arch_vcpu_reg(const struct arch_vcpu *av, unsigned reg);

// Where compilers for this architecture keep the chain of stack frames, for backtraces: a register of arch_vcpu_reg(), and the
// distance from its value to the caller's frame pointer and to the return address, 64 bits each. Constant.
struct vcpu_frame_layout {
    unsigned frame_reg;
    int64_t next_offset, return_offset;
};
const struct vcpu_frame_layout *arch_vcpu_frame_layout(void);

// Asks the guest's own translation for a readable address as its kernel sees it; false when it has none. The vCPU is loaded
// on this CPU, interrupts masked.
bool arch_vcpu_translate(const struct arch_vcpu *av, gva_t va, gpa_t *out);

// Describes the vCPU for a fault card, a line at a time.
void arch_vcpu_dump(const struct arch_vcpu *av, void (*line)(void *ctx, const char *text), void *ctx);
