// SPDX-License-Identifier: Apache-2.0
//
// The classes of C4.1.94 as a table of (mask, value, decoder); each decoder looks at its own fields only.
#include "arch/aarch64/virt/a64_decode.h"

#define BITS(insn, high, low) ((insn) >> (low) & ((2u << ((high) - (low))) - 1))
#define BIT(insn, n) (((insn) >> (n)&1) != 0)
#define RT(insn) ((uint8_t)BITS(insn, 4, 0))
#define RN(insn) ((uint8_t)BITS(insn, 9, 5))
#define RT2(insn) ((uint8_t)BITS(insn, 14, 10))

static const struct a64_access unknown = {.kind = A64_UNKNOWN};

static struct a64_access of_kind(enum a64_kind kind)
{
    return (struct a64_access){.kind = kind};
}

// The low `bits` bits of `v` as a signed number.
static int sign_extended(uint32_t v, unsigned bits)
{
    int sign = 1 << (bits - 1);

    return ((int)v ^ sign) - sign;
}

// Write-back onto a general register that is transferred too is unpredictable; SP (31) cannot be transferred.
static struct a64_access with_write_back(struct a64_access a, int amount)
{
    if (!a.simd && a.base != A64_REG_ZR && (a.base == a.reg[0] || (a.count == 2 && a.base == a.reg[1]))) {
        return unknown;
    }
    a.write_back = true;
    a.amount = (int16_t)amount;
    return a;
}

// `size` (31:30), V (26) and opc (23:22) of the single-register forms.
static struct a64_access single_general(uint32_t insn)
{
    unsigned size = BITS(insn, 31, 30), opc = BITS(insn, 23, 22);
    struct a64_access a = {.size = (uint8_t)(1u << size), .count = 1, .reg = {RT(insn)}, .base = RN(insn)};

    if (opc == 2 && size == 3) {
        return of_kind(A64_PREFETCH);
    }
    if (opc == 3 && size >= 2) {
        return unknown;
    }
    a.kind = opc == 0 ? A64_STORE : A64_LOAD;
    a.sign_extend = opc >= 2;
    a.dest64 = opc == 2 || (opc == 1 && size == 3);
    return a;
}

static struct a64_access single(uint32_t insn)
{
    unsigned size = BITS(insn, 31, 30), opc = BITS(insn, 23, 22);
    struct a64_access a = {.count = 1, .reg = {RT(insn)}, .base = RN(insn), .simd = true};

    if (!BIT(insn, 26)) {
        return single_general(insn);
    }
    if (opc >= 2 && size != 0) {
        return unknown;
    }
    a.size = (uint8_t)(opc >= 2 ? 16 : 1u << size);
    a.kind = opc & 1 ? A64_LOAD : A64_STORE;
    return a;
}

// Unscaled, post-indexed, unprivileged, pre-indexed: by bits 11:10, imm9 at 20:12.
static struct a64_access single_imm9(uint32_t insn)
{
    struct a64_access a = single(insn);
    unsigned form = BITS(insn, 11, 10);
    bool access = a.kind == A64_LOAD || a.kind == A64_STORE;

    if (form == 0) {
        return a;
    }
    if (!access || (form == 2 && a.simd)) {
        return unknown; // there is no prefetch with write-back, no unprivileged one, none with SIMD
    }
    if (form == 2) {
        a.unprivileged = true;
        return a;
    }
    return with_write_back(a, sign_extended(BITS(insn, 20, 12), 9));
}

static struct a64_access single_register(uint32_t insn)
{
    return BIT(insn, 14) ? single(insn) : unknown; // option must be UXTW, LSL, SXTW or SXTX
}

// LDADD and its kin, SWP, and LDAPR, which is a plain load with order.
static struct a64_access atomic(uint32_t insn)
{
    bool is_ldapr = (insn & 0x3ffffc00u) == 0x38bfc000u;
    unsigned size = BITS(insn, 31, 30);

    if (is_ldapr) {
        return (struct a64_access){.kind = A64_LOAD,
                                   .size = (uint8_t)(1u << size),
                                   .count = 1,
                                   .reg = {RT(insn)},
                                   .base = RN(insn),
                                   .dest64 = size == 3,
                                   .acquire_release = true};
    }
    if (!BIT(insn, 15) || BITS(insn, 14, 12) == 0) {
        return of_kind(A64_ATOMIC);
    }
    return unknown;
}

static struct a64_access pair(uint32_t insn)
{
    unsigned opc = BITS(insn, 31, 30), form = BITS(insn, 24, 23);
    bool load = BIT(insn, 22), simd = BIT(insn, 26), sw = opc == 1 && !simd;
    struct a64_access a = {.kind = load ? A64_LOAD : A64_STORE,
                           .count = 2,
                           .reg = {RT(insn), RT2(insn)},
                           .base = RN(insn),
                           .simd = simd};

    if (opc == 3 || (sw && (!load || form == 0))) { // LDPSW has no store and no non-temporal form
        return unknown;
    }
    if (load && a.reg[0] == a.reg[1]) {
        return unknown;
    }
    a.size = (uint8_t)(simd ? 4u << opc : opc == 2 ? 8 : 4);
    a.sign_extend = sw;
    a.dest64 = load && !simd && (sw || opc == 2);
    if (form == 1 || form == 3) {
        return with_write_back(a, sign_extended(BITS(insn, 21, 15), 7) * a.size);
    }
    return a;
}

static struct a64_access literal(uint32_t insn)
{
    unsigned opc = BITS(insn, 31, 30);
    bool simd = BIT(insn, 26);
    struct a64_access a = {.kind = A64_LOAD, .count = 1, .reg = {RT(insn)}, .base = A64_REG_ZR, .simd = simd};

    if (opc == 3) {
        return simd ? unknown : of_kind(A64_PREFETCH);
    }
    a.size = (uint8_t)(simd ? 4u << opc : opc == 1 ? 8 : 4);
    a.sign_extend = !simd && opc == 2;
    a.dest64 = !simd && opc != 0;
    return a;
}

// Exclusive, ordered and compare-and-swap: by o2 (23), L (22), o1 (21), o0 (15).
static struct a64_access exclusive(uint32_t insn)
{
    bool o2 = BIT(insn, 23), o1 = BIT(insn, 21);
    unsigned size = BITS(insn, 31, 30);

    if (!o2) {
        if (!o1 || size >= 2) {
            return of_kind(A64_EXCLUSIVE);
        }
        return RT2(insn) == 31 ? of_kind(A64_ATOMIC) : unknown; // CASP
    }
    if (o1) {
        return RT2(insn) == 31 ? of_kind(A64_ATOMIC) : unknown; // CAS
    }
    if (BITS(insn, 20, 16) != 31 || RT2(insn) != 31) {
        return unknown; // should-be-one fields
    }
    return (struct a64_access){.kind = BIT(insn, 22) ? A64_LOAD : A64_STORE,
                               .size = (uint8_t)(1u << size),
                               .count = 1,
                               .reg = {RT(insn)},
                               .base = RN(insn),
                               .dest64 = BIT(insn, 22) && size == 3,
                               .acquire_release = true};
}

// LDAPUR, STLUR: opc as in the single-register forms, but nothing to prefetch.
static struct a64_access ordered_unscaled(uint32_t insn)
{
    struct a64_access a = single_general(insn);

    if (a.kind == A64_PREFETCH) {
        return unknown;
    }
    a.acquire_release = a.kind != A64_UNKNOWN;
    return a;
}

// SYS with CRn 7: by op1 (18:16), CRm (11:8) and op2 (7:5).
static struct a64_access system_op(uint32_t insn)
{
    unsigned op1 = BITS(insn, 18, 16), crm = BITS(insn, 11, 8), op2 = BITS(insn, 7, 5);

    if (op1 == 3 && op2 == 1) {
        if (crm == 4) {
            return of_kind(A64_ZERO);
        }
        if (crm == 5 || (crm >= 10 && crm <= 14)) { // IC IVAU; DC CVAC CVAU CVAP CVADP CIVAC
            return of_kind(A64_CACHE);
        }
    }
    return op1 == 0 && crm == 6 && op2 == 1 ? of_kind(A64_CACHE) : unknown; // DC IVAC
}

static struct a64_access structure(uint32_t insn)
{
    (void)insn;
    return of_kind(A64_STRUCTURE);
}

static const struct {
    uint32_t mask, value;
    struct a64_access (*decode)(uint32_t insn);
} classes[] = {
    {0x3b000000, 0x39000000, single},           // unsigned immediate
    {0x3b200000, 0x38000000, single_imm9},      // unscaled, indexed, unprivileged
    {0x3b200c00, 0x38200800, single_register},  // register offset
    {0x3f200c00, 0x38200000, atomic},           //
    {0x3a000000, 0x28000000, pair},             //
    {0x3b000000, 0x18000000, literal},          //
    {0x3f000000, 0x08000000, exclusive},        //
    {0x3f200c00, 0x19000000, ordered_unscaled}, //
    {0xbfbf0000, 0x0c000000, structure},        // multiple structures
    {0xbfa00000, 0x0c800000, structure},        // ... post-indexed
    {0xbf9f0000, 0x0d000000, structure},        // single structure
    {0xbf800000, 0x0d800000, structure},        // ... post-indexed
    {0xfff8f000, 0xd5087000, system_op},        // SYS, CRn 7
};

struct a64_access a64_decode(uint32_t insn)
{
    for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) {
        if ((insn & classes[i].mask) == classes[i].value) {
            return classes[i].decode(insn);
        }
    }
    return unknown;
}

const char *a64_kind_name(enum a64_kind kind)
{
    static const char *const names[A64_KIND_COUNT] = {
        [A64_UNKNOWN] = "unknown",     [A64_LOAD] = "load",     [A64_STORE] = "store",
        [A64_PREFETCH] = "prefetch",   [A64_CACHE] = "cache",   [A64_ZERO] = "zero",
        [A64_EXCLUSIVE] = "exclusive", [A64_ATOMIC] = "atomic", [A64_STRUCTURE] = "structure",
    };

    return (unsigned)kind < A64_KIND_COUNT ? names[kind] : "unknown";
}
