// SPDX-License-Identifier: Apache-2.0
//
// By far the most accesses to devices: a MOV between a register and memory, in 64-bit code, which is the instruction that was
// decoded last, once more. What is anything else is left to mmio.c, and so is whatever needs a second look.
//
// The instruction is found anew each time, through the guest's page tables as they are, and its bytes are compared: it may have
// been rewritten, or be another one at the same place.
#include "arch/x86_64/virt/virt_local.h"

#define PTE_P BIT64(0)
#define PTE_PS BIT64(7)
#define PTE_PA MASK64(12, 40)
#define ROOT_SHIFT 39u
#define SEG_LONG 0x200
#define FLAGS_TF BIT64(8)
#define PAGE_MASK (PAGE_SIZE - 1)

struct move {
    uint8_t size; // of the access, bytes; 0: as the prefixes say
    bool known, store, immediate, extends;
};

static const struct move byte_moves[256] = {
    [0x88] = {.known = true, .store = true, .size = 1},
    [0x89] = {.known = true, .store = true},
    [0x8A] = {.known = true, .size = 1},
    [0x8B] = {.known = true},
    [0xC6] = {.known = true, .store = true, .immediate = true, .size = 1},
    [0xC7] = {.known = true, .store = true, .immediate = true},
};

static const struct move extending_moves[256] = {
    [0xB6] = {.known = true, .extends = true, .size = 1},
    [0xB7] = {.known = true, .extends = true, .size = 2},
};

// NULL: it is something else, or has a register or a segment of its own kind.
static const struct move *move_of(const struct x86_insn *in)
{
    const struct move *m = in->map == X86_MAP_BYTE ? &byte_moves[in->opcode] : &extending_moves[in->opcode];
    bool high_byte = m->size == 1 && !m->extends && in->rex == 0 && in->reg >= 4;

    if (in->map > X86_MAP_0F || !m->known || !in->memory || in->vector || high_byte ||
        (in->prefixes & ~X86_PFX_OPERAND) || in->segment >= X86_FS || (m->immediate && (in->reg & 7))) {
        return NULL;
    }
    return m;
}

// Where an address of 64-bit code is, with four levels of tables; false: there is more to it.
static bool walk(struct arch_vcpu *av, uint64_t root, uint64_t va, uint64_t *out)
{
    uint64_t table = root & PTE_PA;

    for (unsigned shift = ROOT_SHIFT;; shift -= 9) {
        const uint64_t *at = av->up->peek(av, gpa(table + (va >> shift & 511) * 8), sizeof(*at));
        uint64_t e = at ? __atomic_load_n(at, __ATOMIC_RELAXED) : 0;

        if (!(e & PTE_P)) {
            return false;
        }
        if (shift == PAGE_SHIFT || (e & PTE_PS)) {
            *out = (e & PTE_PA & ~(BIT64(shift) - 1)) | (va & (BIT64(shift) - 1));
            return true;
        }
        table = e & PTE_PA;
    }
}

static bool is_same(struct arch_vcpu *av, const struct x86_code *c)
{
    const void *bytes;
    uint64_t where;

    if (!(c->efer & EFER_LMA) || !(c->cs_attr & SEG_LONG) || (c->cr4 & CR4_LA57) || (c->flags & FLAGS_TF) ||
        (c->rip & PAGE_MASK) + X86_INSN_MAX > PAGE_SIZE || !walk(av, c->cr3, c->rip, &where)) {
        return false;
    }
    bytes = av->up->peek(av, gpa(where), X86_INSN_MAX);
    return bytes && __builtin_memcmp(av->decoded->bytes, bytes, X86_INSN_MAX) == 0;
}

static uint64_t operand_address(const struct arch_vcpu *av, const struct x86_insn *in, uint64_t rip)
{
    uint64_t offset = (uint64_t)(int64_t)in->displacement;

    offset += in->base != X86_NO_REG ? av->r[in->base] : 0;
    offset += in->index != X86_NO_REG ? av->r[in->index] * in->scale : 0;
    offset += in->rip_relative ? rip + in->length : 0;
    return in->address_size == 8 ? offset : offset & UINT32_MAX;
}

// 32-bit results clear the upper half, smaller ones leave the rest.
static void load_register(uint64_t *reg, unsigned size, uint64_t v)
{
    uint64_t mask = MASK64(0, 8 * size);

    *reg = size >= 4 ? v & mask : (*reg & ~mask) | (v & mask);
}

bool x86_emulate_move(struct arch_vcpu *av, const struct x86_exit *x)
{
    const struct x86_insn *in = &av->decoded->insn;
    const struct move *m = av->decoded->mode == 8 ? move_of(in) : NULL;
    struct io_access a;
    struct x86_code c;
    uint64_t linear;

    if (!m || m->store != x->fault.write) {
        return false;
    }
    x86_ops->get_code(av, &c);
    if (!is_same(av, &c)) {
        return false;
    }
    a.size = m->size ? m->size : in->operand_size;
    a.write = m->store;
    linear = operand_address(av, in, c.rip);
    // The hardware has just been there itself, and found the access allowed.
    if (((linear ^ x->fault.gpa) & PAGE_MASK) != 0 || (linear & PAGE_MASK) + a.size > PAGE_SIZE) {
        return false;
    }
    if (a.write) {
        a.value = (m->immediate ? in->immediate : av->r[in->reg]) & MASK64(0, 8 * a.size);
    }
    if (av->up->mmio(av, &a, gpa(x->fault.gpa)) != 0) {
        return false;
    }
    if (!a.write) {
        a.value &= MASK64(0, 8 * a.size);
        load_register(&av->r[in->reg], m->extends ? in->operand_size : a.size, a.value);
    }
    x86_advance(av, in->length);
    return true;
}
