// SPDX-License-Identifier: Apache-2.0
//
// Between what AMD SVM and Intel VMX do differently (arch/x86_64/svm, vmx) and what is written once above them. A vendor
// enters the guest, says in neutral words why it came back, and reads and writes the guest's registers; it knows no device,
// no instruction and no policy. Interrupts masked unless said otherwise.
#pragma once

#include <asm/cpu.h>
#include <asm/vcpu.h>
#include <asm/virt.h>

#include "arch/virt.h"
#include "arch/x86_64/virt/x86_segment.h"
#include "kernel/lib/io_access.h"
#include "kernel/lib/status.h"

struct pt_format;

enum x86_exit_kind {
    X86_EXIT_NOTHING,   // enter again
    X86_EXIT_INTERRUPT, // a host interrupt waits
    X86_EXIT_TAKEN,     // ... and has been taken: its vector is noted (arch_irq_note())
    X86_EXIT_CPUID,
    X86_EXIT_HLT,
    X86_EXIT_CALL, // VMMCALL, VMCALL
    X86_EXIT_IO,
    X86_EXIT_MSR,
    X86_EXIT_XSETBV,
    X86_EXIT_PRIORITY, // MOV to or from CR8, the task priority; length 0: which one, the instruction tells
    X86_EXIT_APIC,     // what the hardware's local APIC reports
    X86_EXIT_NESTED_FAULT, // EPT violation, nested page fault
    X86_EXIT_WINDOW,       // the guest can take an interrupt now
    X86_EXIT_UNDEFINED,    // an instruction that the guest does not have: #UD
    X86_EXIT_WBINVD,       // cache maintenance without meaning here
    X86_EXIT_EXCEPTION,    // #DB, #AC: the guest's own, not yet delivered
    X86_EXIT_SHUTDOWN,     // triple fault
    X86_EXIT_FAILED,       // the hardware refused to enter
    X86_EXIT_UNKNOWN,
    X86_EXIT_COUNT
};

// What X86_EXIT_APIC is about.
enum x86_apic_event {
    X86_APIC_WRITTEN, // a register of its page; value: which (offset / 16)
    X86_APIC_EOI,     // the end of an interrupt; value: the vector
    X86_APIC_PRIORITY // TPR has become lower than what is waited for
};

struct x86_exit {
    enum x86_exit_kind kind;
    uint32_t length; // of the instruction, bytes; 0: unknown
    uint64_t reason; // the vendor's number, for fault cards
    bool delivering; // of a nested fault: while an event was delivered, which will be done again
    union {
        struct {
            struct io_access access; // size and direction
            uint16_t port;
            bool string;
        } io;
        struct {
            bool write;
            uint64_t value; // the handler's
        } msr;
        struct {
            uint8_t vector;
            int64_t error; // negative: none
        } exception;
        struct {
            bool write;
            uint8_t reg; // enum x86_reg
        } priority;
        struct {
            enum x86_apic_event event;
            uint8_t value;
        } apic;
        struct {
            uint64_t gpa;
            bool write, fetch;
            bool walk; // the guest's own page-table walk did it
        } fault;
    };
};

enum x86_field {
    X86_RIP,
    X86_RFLAGS,
    X86_CR0,
    X86_CR2,
    X86_CR3,
    X86_CR4,
    X86_EFER,
    X86_CR8,
    X86_FIELD_COUNT
};

enum x86_segment {
    X86_ES,
    X86_CS,
    X86_SS,
    X86_DS,
    X86_FS,
    X86_GS,
    X86_LDTR,
    X86_TR,
    X86_GDTR, // base and limit only
    X86_IDTR,
    X86_SEGMENT_COUNT
};

// What says where the next instruction is, and how it is to be read.
struct x86_code {
    uint64_t rip, flags, cr3, cr4, efer;
    uint16_t cs_attr; // as x86_seg's
};

enum x86_event {
    X86_EVENT_INTERRUPT = 0,
    X86_EVENT_NMI = 2,
    X86_EVENT_EXCEPTION = 3
};

// Exceptions
#define X86_DB 1
#define X86_NMI 2
#define X86_UD 6
#define X86_SS_FAULT 12
#define X86_GP 13
#define X86_PF 14
#define X86_AC 17
#define X86_MC 18

struct x86_virt_ops {
    const char *name;
    const struct pt_format *format;
    // Can this CPU do it? Boot CPU. E_NOENT: it is no such CPU. E_UNSUPPORTED: the text says why not.
    enum status (*probe)(struct virt_caps *caps);
    enum status (*enable)(void);
    // vendor, with the reset state of a processor after INIT. Worker thread, interrupts on.
    enum status (*vcpu_create)(struct arch_vcpu *av);
    void (*vcpu_destroy)(struct arch_vcpu *av);
    void (*vcpu_reset)(struct arch_vcpu *av);
    void (*load)(struct arch_vcpu *av);
    void (*put)(struct arch_vcpu *av);
    // One entry and exit; av->r[] is the guest's before and after.
    void (*enter)(struct arch_vcpu *av, struct x86_exit *out);

    // Of a vCPU that is loaded here, or nowhere.
    uint64_t (*get)(const struct arch_vcpu *av, enum x86_field f);
    void (*set)(struct arch_vcpu *av, enum x86_field f, uint64_t v);
    void (*get_segment)(const struct arch_vcpu *av, enum x86_segment s, struct x86_seg *out);
    void (*set_segment)(struct arch_vcpu *av, enum x86_segment s, const struct x86_seg *in);
    void (*get_code)(const struct arch_vcpu *av, struct x86_code *out);
    // The instruction, `length` bytes, is done: RIP moves on, and what MOV SS or STI protected is over.
    void (*advance)(struct arch_vcpu *av, uint32_t length);
    // Registers that the hardware switches with the guest; false: not one of them.
    bool (*get_msr)(const struct arch_vcpu *av, uint32_t msr, uint64_t *out);
    bool (*set_msr)(struct arch_vcpu *av, uint32_t msr, uint64_t v);

    // An event for the next entry. `error`: negative for none.
    void (*inject)(struct arch_vcpu *av, enum x86_event type, uint8_t vector, int64_t error);
    bool (*can_interrupt)(const struct arch_vcpu *av);    // IF set, no shadow, nothing to be injected yet
    void (*want_window)(struct arch_vcpu *av, bool want); // X86_EXIT_WINDOW as soon as it can
    bool (*can_nmi)(const struct arch_vcpu *av); // no NMI in service, no shadow, nothing to be injected
    void (*want_nmi)(struct arch_vcpu *av);      // an exit, X86_EXIT_NOTHING or another, as soon as it can

    // After probe(); NULL, or it answers NULL: none.
    const struct apic_page_ops *(*apic_pages)(void);
    // One line about what the hardware has of the local APIC; false: nothing. NULL: never anything.
    bool (*describe_apic)(const struct arch_vcpu *av, char *text, size_t size);
};

extern const struct x86_virt_ops svm_ops, vmx_ops;
