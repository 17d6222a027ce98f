// SPDX-License-Identifier: Apache-2.0
//
// The questions that an architecture's firmware interface has for the core (arch/vcpu.h, VCPU_CALL_*). On the vCPU's own
// thread, interrupts masked.
#include "vmm/core/stolen.h"
#include "vmm/core/vcpu.h"

#define PIECE 256u         // of guest memory at a time
#define CONSOLE_MAX KIB(4) // one call takes no more: the guest asks again

typedef bool (*call_handler)(struct vcpu *v, struct vcpu_exit *e);

static bool call_cpu_state(struct vcpu *v, struct vcpu_exit *e)
{
    struct vcpu *target = vcpu_find(v->vm, e->hypercall.args[0]);

    if (target) {
        enum vcpu_state s = target->state;
        e->hypercall.result[0] = s == VCPU_OFF ? 1 : (s == VCPU_ON_PENDING ? 2 : 0);
    }
    return target != NULL;
}

static bool call_kick(struct vcpu *v, struct vcpu_exit *e)
{
    struct vcpu *target = vcpu_find(v->vm, e->hypercall.args[0]);

    if (target) {
        vcpu_request(target, VCPU_REQ_IRQ);
    }
    return target != NULL;
}

static bool call_console_write(struct vcpu *v, struct vcpu_exit *e)
{
    const struct vm_manager_ops *manager = v->vm->manager;
    uint64_t len = min_u64(e->hypercall.args[1], CONSOLE_MAX);
    uint64_t done = 0;
    char piece[PIECE];

    if (!gmem_check(&v->vm->gmem, gpa(e->hypercall.args[0]), len, PERM_R)) {
        return false;
    }
    while (manager->console_write && done < len) {
        uint64_t n = min_u64(PIECE, len - done);
        size_t taken = 0;

        if (gmem_read(&v->vm->gmem, gpa(e->hypercall.args[0] + done), piece, n, NULL) == OK) {
            taken = manager->console_write(v->vm, piece, n);
        }
        done += taken;
        if (taken < n) {
            break;
        }
    }
    e->hypercall.result[0] = done;
    return true;
}

static bool call_console_read(struct vcpu *v, struct vcpu_exit *e)
{
    const struct vm_manager_ops *manager = v->vm->manager;
    uint64_t len = min_u64(e->hypercall.args[1], PIECE);
    char piece[PIECE];
    size_t n;

    if (!gmem_check(&v->vm->gmem, gpa(e->hypercall.args[0]), len, PERM_W)) {
        return false;
    }
    n = manager->console_read ? manager->console_read(v->vm, piece, len) : 0;
    e->hypercall.result[0] = n;
    return n == 0 || gmem_write(&v->vm->gmem, gpa(e->hypercall.args[0]), piece, n, NULL) == OK;
}

static bool call_console_putc(struct vcpu *v, struct vcpu_exit *e)
{
    char c = (char)e->hypercall.args[0];

    return v->vm->manager->console_write && v->vm->manager->console_write(v->vm, &c, 1) == 1;
}

static bool call_console_getc(struct vcpu *v, struct vcpu_exit *e)
{
    unsigned char c;

    if (!v->vm->manager->console_read || v->vm->manager->console_read(v->vm, &c, 1) != 1) {
        return false;
    }
    e->hypercall.result[0] = c;
    return true;
}

static bool call_stolen_time(struct vcpu *v, struct vcpu_exit *e)
{
    gpa_t record = gpa(0);
    bool there = stolen_enable(v, &record);

    e->hypercall.result[0] = record.v;
    return there;
}

static bool call_stolen_share(struct vcpu *v, struct vcpu_exit *e)
{
    e->hypercall.result[0] =
        stolen_share(v, gpa(e->hypercall.args[0]), (enum stolen_layout)e->hypercall.args[1]);
    return true;
}

static bool call_code_check(struct vcpu *v, struct vcpu_exit *e)
{
    return gmem_check(&v->vm->gmem, gpa(e->hypercall.args[0]), 4, PERM_R | PERM_X);
}

enum vcpu_verdict vcpu_hypercall(struct vcpu *v, struct vcpu_exit *e)
{
    static const call_handler handlers[] = {
        call_cpu_state,    call_kick,        call_console_write, call_console_read, call_console_putc,
        call_console_getc, call_stolen_time, call_stolen_share,  call_code_check,
    };
    uint64_t n = e->hypercall.function - VCPU_CALL_CPU_STATE;

    e->hypercall.handled = n < ARRAY_SIZE(handlers) && handlers[n](v, e);
    return VCPU_RESUME;
}
