// SPDX-License-Identifier: Apache-2.0
//
// Exit reasons and qualifications (Intel SDM vol. 3C, 27.2.1 and appendix C). Exceptions and control registers are not here:
// vmx_intercept.c deals with them, and no layer above has a part in it.
#include "arch/x86_64/vmx/vmx_exit.h"

#include "arch/x86_64/vmx/vmcs.h"

#define IO_SIZE UINT64_C(7) // less one
#define IO_IN BIT64(3)
#define IO_STRING BIT64(4)
#define IO_PORT_SHIFT 16
#define EPT_WRITE BIT64(1)
#define EPT_FETCH BIT64(2)
#define EPT_LINEAR BIT64(7) // there is a guest linear address,
#define EPT_FINAL BIT64(8)  // and its translation did it, not the walk to it

static void decode_io(const struct vmx_exit *in, struct x86_exit *out)
{
    uint64_t q = in->qualification;

    out->io.port = (uint16_t)(q >> IO_PORT_SHIFT);
    out->io.access.size = (uint8_t)((q & IO_SIZE) + 1);
    out->io.access.write = !(q & IO_IN);
    out->io.string = (q & IO_STRING) != 0;
}

static void decode_msr(const struct vmx_exit *in, struct x86_exit *out)
{
    out->msr.write = in->reason == REASON_WRMSR;
}

static void decode_fault(const struct vmx_exit *in, struct x86_exit *out)
{
    uint64_t q = in->qualification;

    out->fault.gpa = in->gpa;
    out->fault.write = (q & EPT_WRITE) != 0;
    out->fault.fetch = (q & EPT_FETCH) != 0;
    out->fault.walk = (q & (EPT_LINEAR | EPT_FINAL)) == EPT_LINEAR;
}

// Of an access to the local APIC's registers (27.2.1, table 27-6). The numbers above are physical accesses, which a walk does.
enum apic_access {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_FETCH,
    ACCESS_DELIVERY,
    ACCESS_PHYSICAL_DELIVERY = 10,
    ACCESS_PHYSICAL = 15
};
#define ACCESS_OFFSET MASK64(0, 12)
#define ACCESS_TYPE(q) ((q) >> 12 & 0xF)

static void decode_apic_access(const struct vmx_exit *in, struct x86_exit *out)
{
    unsigned type = ACCESS_TYPE(in->qualification);

    out->fault.gpa = in->gpa;
    out->fault.write = type == ACCESS_WRITE;
    out->fault.fetch = type == ACCESS_FETCH;
    out->fault.walk = type > ACCESS_DELIVERY;
    out->delivering = in->vectoring || type == ACCESS_DELIVERY || type == ACCESS_PHYSICAL_DELIVERY;
}

static void decode_apic_write(const struct vmx_exit *in, struct x86_exit *out)
{
    out->apic.event = X86_APIC_WRITTEN;
    out->apic.value = (uint8_t)((in->qualification & ACCESS_OFFSET) >> 4);
}

static void decode_eoi(const struct vmx_exit *in, struct x86_exit *out)
{
    out->apic.event = X86_APIC_EOI;
    out->apic.value = (uint8_t)in->qualification;
}

static void decode_tpr(const struct vmx_exit *in, struct x86_exit *out)
{
    (void)in;
    out->apic.event = X86_APIC_PRIORITY;
}

struct row {
    uint8_t kind; // 0 of a reason that is not listed: see other()
    void (*details)(const struct vmx_exit *in, struct x86_exit *out);
};

static const struct row rows[REASON_COUNT] = {
    [REASON_INTERRUPT] = {X86_EXIT_INTERRUPT, NULL},
    [REASON_TRIPLE_FAULT] = {X86_EXIT_SHUTDOWN, NULL},
    [REASON_WINDOW] = {X86_EXIT_WINDOW, NULL},
    [REASON_CPUID] = {X86_EXIT_CPUID, NULL},
    [REASON_HLT] = {X86_EXIT_HLT, NULL},
    [REASON_INVD] = {X86_EXIT_WBINVD, NULL},
    [REASON_VMCALL] = {X86_EXIT_CALL, NULL},
    [REASON_IO] = {X86_EXIT_IO, decode_io},
    [REASON_RDMSR] = {X86_EXIT_MSR, decode_msr},
    [REASON_WRMSR] = {X86_EXIT_MSR, decode_msr},
    [REASON_TPR] = {X86_EXIT_APIC, decode_tpr},
    [REASON_APIC_ACCESS] = {X86_EXIT_NESTED_FAULT, decode_apic_access},
    [REASON_EOI] = {X86_EXIT_APIC, decode_eoi},
    [REASON_EPT_VIOLATION] = {X86_EXIT_NESTED_FAULT, decode_fault},
    [REASON_PREEMPTION] = {X86_EXIT_INTERRUPT, NULL},
    [REASON_WBINVD] = {X86_EXIT_WBINVD, NULL},
    [REASON_APIC_WRITE] = {X86_EXIT_APIC, decode_apic_write},
    [REASON_XSETBV] = {X86_EXIT_XSETBV, NULL},
};

// Instructions that the guest does not have: those of VMX itself, SMX, MONITOR and MWAIT, RDPMC.
static enum x86_exit_kind other(uint32_t reason)
{
    static const uint8_t undefined[] = {REASON_GETSEC,  REASON_RDPMC,  REASON_MWAIT, REASON_MONITOR,
                                        REASON_INVVPID, REASON_INVEPT, REASON_VMFUNC};

    if (reason & REASON_ENTRY_FAILED) {
        return X86_EXIT_FAILED;
    }
    if (reason >= REASON_VMCLEAR && reason <= REASON_VMXON) {
        return X86_EXIT_UNDEFINED;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(undefined); i++) {
        if (undefined[i] == reason) {
            return X86_EXIT_UNDEFINED;
        }
    }
    return reason == REASON_INIT || reason == REASON_SIPI ? X86_EXIT_NOTHING : X86_EXIT_UNKNOWN;
}

void vmx_decode(const struct vmx_exit *in, struct x86_exit *out)
{
    const struct row *r = in->reason < REASON_COUNT ? &rows[in->reason] : NULL;

    out->reason = in->reason;
    out->length = in->length;
    out->delivering = in->vectoring;
    if (!r || !r->kind) {
        out->kind = other(in->reason);
        return;
    }
    out->kind = (enum x86_exit_kind)r->kind;
    if (r->details) {
        r->details(in, out);
    }
}
