// SPDX-License-Identifier: Apache-2.0
//
// The fault card: what a guest did that nothing architectural can answer, and how it came there.
//
// The backtrace follows the guest's frame pointers through its own translation. Every value in that chain is the guest's:
// frames must be aligned and grow upward by less than FRAME_MAX, and their number is bounded.
#include <stdio.h>

#include "vmm/core/vcpu.h"

#define TRACE_MAX 16
#define FRAME_MAX KIB(64)

// A word of the guest's own virtual memory.
static bool read_word(struct vcpu *v, uint64_t va, uint64_t *out)
{
    gpa_t where;

    return va % sizeof(*out) == 0 && arch_vcpu_translate(&v->arch, gva(va), &where) &&
           gmem_load64(&v->vm->gmem, where, out) == OK;
}

unsigned vcpu_backtrace(struct vcpu *v, uint64_t *out, unsigned max)
{
    const struct vcpu_frame_layout *l = arch_vcpu_frame_layout();
    uint64_t frame = arch_vcpu_reg(&v->arch, l->frame_reg);
    unsigned n = 0;

    while (n < max) {
        uint64_t next, ret;

        if (!read_word(v, frame + (uint64_t)l->next_offset, &next) ||
            !read_word(v, frame + (uint64_t)l->return_offset, &ret) || ret == 0) {
            break;
        }
        out[n++] = ret;
        if (next <= frame || next - frame > FRAME_MAX) {
            break;
        }
        frame = next;
    }
    return n;
}

static void card_line(void *ctx, const char *text)
{
    (void)ctx;
    log_warn("| %s", text);
}

// Four return addresses a line.
static void card_trace(struct vcpu *v)
{
    uint64_t pcs[TRACE_MAX];
    unsigned count = vcpu_backtrace(v, pcs, TRACE_MAX);
    char line[120];
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf(line + len, sizeof(line) - len, "  %016llx", (unsigned long long)pcs[i]);
        if (i % 4 == 3 || i + 1 == count) {
            log_warn("| %s%s", i < 4 ? "called from" : "           ", line);
            len = 0;
        }
    }
}

static void card_place(struct vm *vm, const struct vcpu_exit *exit)
{
    struct io_region near;
    gpa_t where = exit->fault.gpa;

    if (!exit->fault.gpa_valid) {
        return;
    }
    log_warn("| guest physical address %#llx: %s", (unsigned long long)where.v,
             plan_describe(&vm->plan, where.v));
    if (io_bus_nearest(&vm->mmio, where.v, &near)) {
        log_warn("| nearest device below: %s at %#llx, %#llx bytes", near.name, (unsigned long long)near.base,
                 (unsigned long long)near.size);
    }
}

static void card_address(const struct vcpu_exit *exit)
{
    unsigned long long syndrome = exit->fault.syndrome, at = exit->fault.gva.v;

    if (at == VCPU_GVA_UNKNOWN) {
        log_warn("| syndrome %#llx, virtual address unknown", syndrome);
    } else {
        log_warn("| syndrome %#llx, virtual address %#llx", syndrome, at);
    }
}

// One card a life: of vCPUs that fail together the first one writes it.
void vm_fail(struct vcpu *v, const struct vcpu_exit *exit)
{
    struct vm *vm = v->vm;
    const struct config_where *where = &vm->config->where;
    uint64_t up = vm_now(vm);

    if (atomic_exchange(&vm->failed, true)) {
        return;
    }
    snprintf(vm->fault, sizeof(vm->fault), "%s (vCPU %u, pc %#llx)", exit->fault.reason, v->index,
             (unsigned long long)arch_vcpu_reg(&v->arch, 32));
    log_warn("+-- guest '%s' stopped: %s", vm_name(vm), exit->fault.reason);
    log_warn("| vCPU %u of %u, on CPU %u, %llu ms after its start", v->index, vm->vcpu_count,
             this_cpu()->index, (unsigned long long)(time_to_us(up) / 1000));
    card_address(exit);
    card_place(vm, exit);
    arch_vcpu_dump(&v->arch, card_line, NULL);
    card_trace(v);
    log_warn("+-- described at %s:%u; on_crash there says what happens next", where->file,
             (unsigned)where->line);
    vm_request_stop(vm, VM_STOP_FAULT);
}
