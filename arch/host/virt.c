// SPDX-License-Identifier: Apache-2.0
//
// The fake virtualisation extension: a vCPU's guest is a script of exits.
#include "arch/virt.h"

#include <stdio.h>
#include <string.h>

#include "arch/cpu.h"
#include "arch/host/machine.h"
#include "arch/time.h"
#include "arch/vcpu.h"

static struct {
    struct host_step *steps;
    unsigned count;
} scripts[64];

void host_guest_script(unsigned index, struct host_step *steps, unsigned count)
{
    scripts[index].steps = steps;
    scripts[index].count = count;
}

enum status arch_virt_probe(struct virt_caps *caps)
{
    *caps = (struct virt_caps){.ipa_bits = 40, .vmid_count = 256, .name = "host"};
    (void)snprintf(caps->text, sizeof(caps->text), "scripted guests");
    return OK;
}

enum status arch_virt_enable(void)
{
    return OK;
}

enum status arch_vm_create(struct arch_vm *vm, hpa_t root, unsigned vmid)
{
    if (vmid == 0) {
        return E_INVAL;
    }
    *vm = (struct arch_vm){.root = root, .vmid = vmid, .created = true};
    return OK;
}

void arch_guest_cpu_describe(struct guest_cpu_desc *out)
{
    *out = (struct guest_cpu_desc){0};
}

const struct irq_file_ops *host_irq_files;

const struct irq_file_ops *arch_irq_files(void)
{
    return host_irq_files;
}

const struct apic_page_ops *host_apic_pages;

const struct apic_page_ops *arch_apic_pages(void)
{
    return host_apic_pages;
}

void arch_vm_hide_irq_regs(struct arch_vm *vm)
{
    vm->irq_regs_hidden = true;
}

void arch_vm_destroy(struct arch_vm *vm)
{
    vm->created = false;
}

enum status arch_vcpu_create(struct arch_vcpu *av, struct arch_vm *vm, unsigned index,
                             const struct vcpu_upcalls *up)
{
    if (index >= ARRAY_SIZE(scripts)) {
        return E_RANGE;
    }
    memset(av, 0, sizeof(*av));
    av->vm = vm;
    av->index = index;
    av->up = up;
    av->timer_deadline = UINT64_MAX;
    return OK;
}

void arch_vcpu_destroy(struct arch_vcpu *av)
{
    av->up = NULL;
}

void arch_vcpu_reset(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    memset(av->regs, 0, sizeof(av->regs));
    av->regs[0] = entry->arg;
    av->regs[32] = entry->pc;
    av->timer_deadline = UINT64_MAX;
    av->timer_lines = 0;
    av->irq_lines = 0;
    av->script = scripts[av->index].steps;
    av->step_count = scripts[av->index].count;
    av->position = 0;
}

void arch_vcpu_load(struct arch_vcpu *av)
{
    av->loaded = true;
}

uint64_t arch_vcpu_put(struct arch_vcpu *av)
{
    av->loaded = false;
    return av->timer_deadline <= arch_time_now() ? 0 : av->timer_deadline;
}

uint64_t arch_vcpu_hw_id(const struct arch_vcpu *av)
{
    return av->index;
}

unsigned arch_vcpu_timer_irqs(const struct vcpu_timer_irq **out)
{
    // The numbers of the Arm generic timers: virtual, physical.
    static const struct vcpu_timer_irq irqs[] = {{27, 27}, {30, 30}};

    *out = irqs;
    return ARRAY_SIZE(irqs);
}

uint64_t arch_vcpu_timer_deadline(const struct arch_vcpu *av, uint32_t ignore)
{
    return ignore != 0 ? UINT64_MAX : av->timer_deadline;
}

uint32_t arch_vcpu_timer_lines(const struct arch_vcpu *av)
{
    return av->timer_lines;
}

void arch_vcpu_set_irq(struct arch_vcpu *av, uint32_t lines)
{
    av->irq_lines = lines;
}

void arch_vcpu_trap_idle(struct arch_vcpu *av, bool trap)
{
    av->trap_idle = trap;
}

static bool must_leave(struct arch_vcpu *av)
{
    return atomic_load_explicit(&av->requests, memory_order_acquire) != 0 &&
           av->up->requests(av) == VCPU_LEAVE;
}

// "Runs" until the clock has moved on by the step's ticks, leaving for host interrupts as a CPU would. When it has to leave,
// the step is left for later with the rest of its ticks.
static enum vcpu_verdict run_for(struct arch_vcpu *av, struct host_step *s)
{
    while (s->ticks > 0) {
        uint64_t start = host_m.now, next = host_next_deadline(), end;

        if (host_irq_deliverable()) {
            av->up->host_irq(av);
            start = host_m.now; // others may have run meanwhile
            next = host_next_deadline();
        }
        if (must_leave(av)) {
            av->position--;
            av->regs[32]--;
            return VCPU_LEAVE;
        }
        end = start + s->ticks;
        host_m.now = next > host_m.now ? min_u64(next, end) : host_m.now + 1;
        s->ticks -= min_u64(s->ticks, host_m.now - start);
        (void)host_cpu_run_other();
    }
    return VCPU_RESUME;
}

static enum vcpu_verdict tell(struct arch_vcpu *av, struct vcpu_exit *e)
{
    if (e->kind != VCPU_EXIT_PIO) {
        return av->up->exit(av, e);
    }
    av->up->pio(av, &e->pio.access, e->pio.port);
    return VCPU_RESUME;
}

static enum vcpu_verdict step(struct arch_vcpu *av)
{
    struct vcpu_exit over = {.kind = VCPU_EXIT_POWEROFF};
    struct host_step *s;

    if (av->position >= av->step_count) {
        return av->up->exit(av, &over);
    }
    s = &av->script[av->position];
    s->executed = true;
    s->verdict = VCPU_RESUME;
    // Before the upcall: a verdict to leave does not repeat the instruction.
    av->position++;
    av->regs[32]++;
    switch (s->kind) {
    case HOST_STEP_EXIT:
        s->verdict = tell(av, &s->exit);
        break;
    case HOST_STEP_RUN:
        s->verdict = run_for(av, s);
        break;
    case HOST_STEP_CALL:
        s->fn(av);
        break;
    }
    if (s->verdict == VCPU_ABORT) {
        av->aborts++;
    }
    return s->verdict;
}

void arch_vcpu_run(struct arch_vcpu *av)
{
    av->entries++;
    for (;;) {
        if (host_irq_deliverable()) {
            av->up->host_irq(av);
        }
        if (must_leave(av)) {
            return;
        }
        if (step(av) == VCPU_LEAVE) {
            return;
        }
    }
}

uint64_t arch_vcpu_reg(const struct arch_vcpu *av, unsigned reg)
{
    return reg < HOST_VCPU_REGS ? av->regs[reg] : 0;
}

const struct vcpu_frame_layout *arch_vcpu_frame_layout(void)
{
    static const struct vcpu_frame_layout layout = {.frame_reg = 29, .next_offset = 0, .return_offset = 8};

    return &layout;
}

// The guest's MMU is off: addresses are physical, up to what the test allows.
bool arch_vcpu_translate(const struct arch_vcpu *av, gva_t va, gpa_t *out)
{
    *out = gpa(va.v);
    return av->loaded && va.v < BIT64(40);
}

void arch_vcpu_dump(const struct arch_vcpu *av, void (*line)(void *ctx, const char *text), void *ctx)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "pc %#llx", (unsigned long long)av->regs[32]);
    line(ctx, text);
}
