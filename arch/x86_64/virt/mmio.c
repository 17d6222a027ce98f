// SPDX-License-Identifier: Apache-2.0
//
// What the hardware leaves to software: an access to a device, and string port I/O. The instruction is fetched once through
// the guest's page tables, then only the copy is used: another vCPU may rewrite it, which changes what its own guest's access
// does and nothing else.
//
// Memory beside the access that faulted (the other end of a MOVS, a stack) is reached as the guest could: its page tables
// decide, and a page fault is the guest's. Where nothing is, reads give all ones and writes are lost, as on a PC.
#include <string.h>

#include "arch/x86_64/virt/virt_local.h"
#include "arch/x86_64/virt/x86_alu.h"
#include "arch/x86_64/virt/x86_emulate.h"

#define FLAGS_VM BIT64(17)
#define PAGE_MASK (PAGE_SIZE - 1)
#define NO_FAULT (-1)

struct access {
    struct arch_vcpu *av;
    const struct x86_exit *x;
    bool faulted, hint; // a nested fault at `where`; the operand may be known to be there
    uint64_t where;
    bool user;
    bool real;     // real or virtual-8086 mode
    uint64_t mask; // of linear addresses
    enum vcpu_verdict verdict;
    int fault; // the exception that ends the instruction, with `error`; NO_FAULT: none
    uint32_t error;
    uint64_t linear; // of #PF
};

// ---- the bus -----------------------------------------

static bool translate(struct access *c, uint64_t linear, bool write, uint64_t *out)
{
    enum x86_walk_result r;
    uint32_t error;

    linear &= c->mask;
    // The hardware has just walked there itself, and found the access allowed.
    if (c->hint && ((linear ^ c->where) & PAGE_MASK) == 0 && (c->x->fault.write || !write)) {
        *out = c->where;
        return true;
    }
    r = x86_guest_access(c->av, linear, (struct x86_walk_for){.write = write, .user = c->user}, out, &error);
    if (r == X86_WALK_FAULT) {
        c->fault = X86_PF;
        c->linear = linear;
        c->error = error;
    }
    return r == X86_WALK_DONE;
}

static bool in_memory(struct access *c, uint64_t where, struct io_access *a)
{
    return a->write ? c->av->up->write(c->av, gpa(where), &a->value, a->size)
                    : c->av->up->read(c->av, gpa(where), &a->value, a->size);
}

// Nobody is there: said once in a while, and the PC goes on.
static bool nowhere(struct access *c, uint64_t where, struct io_access *a)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = gpa(where), .refused = true}};

    e.mmio.access = *a;
    if (c->av->up->exit(c->av, &e) == VCPU_LEAVE) {
        c->verdict = VCPU_LEAVE;
        return false;
    }
    a->value = MASK64(0, 8 * a->size);
    return true;
}

// Within a page.
static bool access_at(struct access *c, uint64_t where, struct io_access *a)
{
    bool device = c->faulted && (where ^ c->where) <= PAGE_MASK;

    if (!device && in_memory(c, where, a)) {
        return true;
    }
    return c->av->up->mmio(c->av, a, gpa(where)) == 0 || (device && in_memory(c, where, a)) ||
           nowhere(c, where, a);
}

// The last byte's page, as far as a page fault tells it.
static uint64_t last_page(uint64_t linear, unsigned size)
{
    return max_u64(linear, align_down(linear + size - 1, PAGE_SIZE));
}

// Across two pages: byte by byte, after both have been found.
static bool access_split(struct access *c, uint64_t linear, struct io_access *a)
{
    uint64_t value = 0, where;

    if (!translate(c, linear, a->write, &where) ||
        !translate(c, last_page(linear, a->size), a->write, &where)) {
        return false;
    }
    for (unsigned i = 0; i < a->size; i++) {
        struct io_access byte = {.value = a->value >> 8 * i & 0xFF, .size = 1, .write = a->write};

        if (!translate(c, linear + i, a->write, &where) || !access_at(c, where, &byte)) {
            return false;
        }
        value |= (byte.value & 0xFF) << 8 * i;
    }
    a->value = value;
    return true;
}

static bool access_linear(struct access *c, uint64_t linear, struct io_access *a)
{
    uint64_t where;

    if ((linear & PAGE_MASK) + a->size > PAGE_SIZE) {
        c->hint = false;
        return access_split(c, linear, a);
    }
    return translate(c, linear, a->write, &where) && access_at(c, where, a);
}

// In 64-bit code there are bases of FS and GS only, and no limits. Elsewhere addresses come back to 0 at 4 GiB.
static bool bus_address(void *ctx, const struct x86_operand_at *at, uint64_t *linear)
{
    struct access *c = ctx;
    struct x86_seg s;
    bool ok;

    if (at->mode == 8) {
        *linear = at->offset;
        if (at->segment >= X86_FS) {
            x86_ops->get_segment(c->av, (enum x86_segment)at->segment, &s);
            *linear += s.base;
        }
        ok = x86_is_canonical(*linear, at->size, 48) ||
             (x86_ops->get(c->av, X86_CR4) & CR4_LA57 && x86_is_canonical(*linear, at->size, 57));
    } else {
        x86_ops->get_segment(c->av, (enum x86_segment)at->segment, &s);
        *linear = (at->offset + s.base) & UINT32_MAX;
        ok = x86_segment_allows(&s, !c->real && at->segment != X86_CS, (uint32_t)at->offset, at->size,
                                at->write);
    }
    if (!ok) {
        c->fault = at->segment == X86_SS ? X86_SS_FAULT : X86_GP;
        c->error = 0;
    }
    return ok;
}

static bool bus_read(void *ctx, uint64_t linear, unsigned size, uint64_t *out)
{
    struct io_access a = {.size = (uint8_t)size};
    bool ok = access_linear(ctx, linear, &a);

    *out = a.value & MASK64(0, 8 * size);
    return ok;
}

static bool bus_write(void *ctx, uint64_t linear, unsigned size, uint64_t value)
{
    struct io_access a = {.size = (uint8_t)size, .write = true, .value = value};

    return access_linear(ctx, linear, &a);
}

static bool bus_allowed(void *ctx, uint64_t linear, unsigned size, bool write)
{
    uint64_t where;

    return translate(ctx, linear, write, &where) &&
           (last_page(linear, size) == linear || translate(ctx, last_page(linear, size), write, &where));
}

static bool bus_vector(void *ctx, unsigned reg, bool write, uint64_t v[2])
{
    fp_vector(((struct access *)ctx)->av, reg, write, v);
    return true;
}

static bool bus_port(void *ctx, uint16_t port, unsigned size, bool write, uint32_t *value)
{
    struct access *c = ctx;
    struct io_access a = {.value = *value, .size = (uint8_t)size, .write = write};

    // The processor has looked whether this very access is allowed; a nested fault is never that of a port.
    if (c->faulted || port != c->x->io.port || size != c->x->io.access.size ||
        write != c->x->io.access.write) {
        return false;
    }
    c->av->up->pio(c->av, &a, port);
    *value = (uint32_t)(a.value & MASK64(0, 8 * size));
    return true;
}

static const struct x86_bus bus = {.address = bus_address,
                                   .read = bus_read,
                                   .write = bus_write,
                                   .allowed = bus_allowed,
                                   .port = bus_port,
                                   .vector = bus_vector};

// ---- the instruction ---------------------------------

// Segments' types and presence do not count there, nor does anything that CS says but its base and limit.
static bool is_real(const struct arch_vcpu *av)
{
    return !(x86_ops->get(av, X86_CR0) & CR0_PE) || x86_ops->get(av, X86_RFLAGS) & FLAGS_VM;
}

static unsigned code_mode(const struct arch_vcpu *av, const struct x86_seg *cs)
{
    if (is_real(av)) {
        return 2;
    }
    if (x86_ops->get(av, X86_EFER) & EFER_LMA && cs->attr & X86_SEG_LONG) {
        return 8;
    }
    return cs->attr & X86_SEG_BIG ? 4 : 2;
}

static uint64_t code_address(const struct arch_vcpu *av, const struct x86_seg *cs, unsigned mode)
{
    uint64_t rip = x86_ops->get(av, X86_RIP);

    return mode == 8 ? rip : (rip + cs->base) & UINT32_MAX;
}

uint64_t x86_code_address(const struct arch_vcpu *av)
{
    struct x86_seg cs;

    x86_ops->get_segment(av, X86_CS, &cs);
    return code_address(av, &cs, code_mode(av, &cs));
}

// All in one page, as nearly always.
static bool fetch_at(struct arch_vcpu *av, uint64_t where, unsigned mode)
{
    struct x86_decoded *d = av->decoded;
    uint8_t bytes[X86_INSN_MAX];

    if (!av->up->read(av, gpa(where), bytes, sizeof(bytes))) {
        return false;
    }
    if (d->mode == mode && __builtin_memcmp(d->bytes, bytes, sizeof(bytes)) == 0) {
        return true;
    }
    memcpy(d->bytes, bytes, sizeof(bytes));
    d->mode = x86_decode(bytes, sizeof(bytes), mode, &d->insn) == X86_DECODED ? (uint8_t)mode : 0;
    d->form = x86_find_form(&d->insn);
    return d->mode != 0;
}

// Where the page ends; the next one only when what is left is not enough.
static bool fetch_split(struct arch_vcpu *av, uint64_t linear, uint64_t where, unsigned mode)
{
    uint8_t bytes[X86_INSN_MAX];
    unsigned first = (unsigned)(PAGE_SIZE - (linear & PAGE_MASK));
    enum x86_decode_result r;

    av->decoded->mode = 0;
    if (!av->up->read(av, gpa(where), bytes, first)) {
        return false;
    }
    r = x86_decode(bytes, first, mode, &av->decoded->insn);
    if (r == X86_DECODE_SHORT) {
        if (!x86_guest_walk(av, linear + first, &where) ||
            !av->up->read(av, gpa(where), bytes + first, (unsigned)sizeof(bytes) - first)) {
            return false;
        }
        r = x86_decode(bytes, sizeof(bytes), mode, &av->decoded->insn);
    }
    av->decoded->form = x86_find_form(&av->decoded->insn);
    return r == X86_DECODED;
}

// Into av->decoded.
static bool fetch(struct arch_vcpu *av, uint64_t linear, unsigned mode)
{
    uint64_t where;

    if (!x86_guest_walk(av, linear, &where)) {
        return false;
    }
    return (linear & PAGE_MASK) + X86_INSN_MAX <= PAGE_SIZE ? fetch_at(av, where, mode)
                                                            : fetch_split(av, linear, where, mode);
}

static uint8_t stack_size(const struct arch_vcpu *av, unsigned mode)
{
    struct x86_seg ss;

    if (mode == 8) {
        return 8;
    }
    x86_ops->get_segment(av, X86_SS, &ss);
    return ss.attr & X86_SEG_BIG ? 4 : 2;
}

// The instruction has got to its end, or to that of an element after which it is to be seen.
static void step(struct arch_vcpu *av, const struct x86_insn *in, uint64_t from, uint64_t to)
{
    if (to == from + in->length) {
        x86_advance(av, in->length);
    } else {
        x86_ops->set(av, X86_RIP, to);
        x86_advance(av, 0);
    }
}

static enum x86_emulate_result carry_out(struct access *c, const struct x86_insn *in)
{
    struct x86_emulation e = {.bus = &bus,
                              .ctx = c,
                              .r = c->av->r,
                              .rip = x86_ops->get(c->av, X86_RIP),
                              .flags = x86_ops->get(c->av, X86_RFLAGS),
                              .stack_size = stack_size(c->av, in->mode)};
    uint64_t flags = e.flags, rip = e.rip;
    enum x86_emulate_result r = x86_emulate(&e, in, &c->av->decoded->form);

    if (e.flags != flags) {
        x86_ops->set(c->av, X86_RFLAGS, e.flags);
    }
    if (r == X86_EMULATE_DONE || (r == X86_EMULATE_AGAIN && flags & X86_FLAG_TF)) {
        step(c->av, in, rip, e.rip);
    } else if (r == X86_EMULATE_UNDEFINED) {
        x86_fault(c->av, X86_UD, -1);
    } else if (c->fault == X86_PF) {
        x86_ops->set(c->av, X86_CR2, c->linear);
        x86_fault(c->av, X86_PF, c->error);
    } else if (c->fault != NO_FAULT) {
        x86_fault(c->av, (uint8_t)c->fault, c->error);
    }
    return r;
}

static bool emulate(struct access *c)
{
    struct arch_vcpu *av = c->av;
    struct x86_seg cs;
    const struct x86_insn *in = &av->decoded->insn;
    unsigned mode;

    x86_ops->get_segment(av, X86_CS, &cs);
    mode = code_mode(av, &cs);
    c->real = mode == 2 && is_real(av);
    c->mask = mode == 8 ? UINT64_MAX : UINT32_MAX;
    c->user = x86_is_user(av);
    if (!fetch(av, code_address(av, &cs, mode), mode)) {
        return false;
    }
    c->hint = c->faulted && av->decoded->form.single;
    return carry_out(c, in) != X86_EMULATE_UNKNOWN;
}

bool x86_emulate_fault(struct arch_vcpu *av, const struct x86_exit *x, enum vcpu_verdict *verdict)
{
    struct access c = {
        .av = av, .x = x, .faulted = true, .where = x->fault.gpa, .fault = NO_FAULT, .verdict = VCPU_RESUME};
    bool known = emulate(&c);

    *verdict = c.verdict;
    return known;
}

bool x86_emulate_string_io(struct arch_vcpu *av, const struct x86_exit *x, enum vcpu_verdict *verdict)
{
    struct access c = {.av = av, .x = x, .fault = NO_FAULT, .verdict = VCPU_RESUME};
    bool known = emulate(&c);

    *verdict = c.verdict;
    return known;
}
