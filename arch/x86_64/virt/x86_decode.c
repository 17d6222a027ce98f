// SPDX-License-Identifier: Apache-2.0
//
// See x86_decode.h. A letter for each opcode says what follows it; `shapes` says what the letter means.
#include "arch/x86_64/virt/x86_decode.h"

#include <string.h>

#define OPCODE_VEX3 0xC4
#define OPCODE_VEX2 0xC5
#define OPCODE_EVEX 0x62
#define OPCODE_EMMS 0x77 // with VEX: VZEROUPPER, the only one without operands
#define VEX_W 0x80
#define EVEX_FIXED 0x04 // of the second byte

enum {
    SEG_SS = 2,
    SEG_DS = 3,
    SEG_FS = 4,
    SEG_GS = 5,
    SEG_NONE = 0xFF
};

enum shape {
    MODRM = 1,
    IMM8 = 2,
    IMM16 = 4,
    IMM_Z = 8,          // 16 or 32 bits by operand size
    IMM_V = 16,         // 16, 32 or 64 bits by operand size
    IMM_ADDRESS = 32,   // by address size
    IMM_NEAR = 64,      // 16 or 32 bits; in 64-bit code always 32
    NOT_IN_64 = 128,    // undefined in 64-bit code
    UNDEFINED = 256,    //
    IMM_IF_TEST = 512,  // the immediate belongs to /0 and /1 alone
    REGISTERS = 1024,   // mod is ignored: never memory
    PREFIX = UNDEFINED, // never looked at as an opcode
};

static const uint16_t shapes[128] = {
    ['.'] = 0,
    ['o'] = NOT_IN_64,
    ['x'] = UNDEFINED,
    ['p'] = PREFIX,
    ['m'] = MODRM,
    ['h'] = MODRM | NOT_IN_64,
    ['r'] = MODRM | REGISTERS,
    ['B'] = MODRM | IMM8,
    ['H'] = MODRM | IMM8 | NOT_IN_64,
    ['Z'] = MODRM | IMM_Z,
    ['t'] = MODRM | IMM8 | IMM_IF_TEST,
    ['T'] = MODRM | IMM_Z | IMM_IF_TEST,
    ['b'] = IMM8,
    ['d'] = IMM8 | NOT_IN_64,
    ['w'] = IMM16,
    ['z'] = IMM_Z,
    ['q'] = IMM_V,
    ['a'] = IMM_ADDRESS,
    ['j'] = IMM_NEAR,
    ['f'] = IMM_Z | IMM16 | NOT_IN_64, // far pointer
    ['e'] = IMM16 | IMM8,              // ENTER
};

// A row for each sixteen opcodes.
static const char map_byte[] = "mmmmbzoommmmbzop" // 00: arithmetic, PUSH and POP of segments
                               "mmmmbzoommmmbzoo"
                               "mmmmbzpommmmbzpo"
                               "mmmmbzpommmmbzpo"
                               "................" // 40: INC, DEC; REX
                               "................" // 50: PUSH, POP
                               "oohmppppzZbB...." // 60
                               "bbbbbbbbbbbbbbbb" // 70: Jcc
                               "BZHBmmmmmmmmmmmm" // 80
                               "..........f....." // 90
                               "aaaa....bz......" // A0: MOV, strings
                               "bbbbbbbbqqqqqqqq" // B0: MOV
                               "BBw.hhBZe.w..bo." // C0
                               "mmmmddo.mmmmmmmm" // D0: shifts, x87
                               "bbbbbbbbjjfb...." // E0
                               "p.pp..tT......mm";

static const char map_0f[] = "mmmmx.....x.xm.B" // 00
                             "mmmmmmmmmmmmmmmm"
                             "rrrrxxxxmmmmmmmm" // 20: MOV of control registers
                             "......x.pxpxxxxx" // 30
                             "mmmmmmmmmmmmmmmm"
                             "mmmmmmmmmmmmmmmm"
                             "mmmmmmmmmmmmmmmm"
                             "BBBBmmm.mmxxmmmm" // 70
                             "jjjjjjjjjjjjjjjj" // 80: Jcc
                             "mmmmmmmmmmmmmmmm" // 90: SETcc
                             "...mBmxx...mBmmm" // A0
                             "mmmmmmmmmmBmmmmm" // B0
                             "mmBmBBBm........" // C0: and BSWAP
                             "mmmmmmmmmmmmmmmm"
                             "mmmmmmmmmmmmmmmm"
                             "mmmmmmmmmmmmmmmm";

_Static_assert(sizeof(map_byte) == 257 && sizeof(map_0f) == 257, "a letter for each opcode");

struct cursor {
    const uint8_t *bytes;
    unsigned at, end; // end: at most 15
};

// Little-endian; false when the bytes end before.
static bool take(struct cursor *c, unsigned n, uint64_t *out)
{
    uint64_t v = 0;

    if (n > c->end - c->at) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        v |= (uint64_t)c->bytes[c->at + i] << 8 * i;
    }
    c->at += n;
    *out = v;
    return true;
}

static bool take_byte(struct cursor *c, uint8_t *out)
{
    uint64_t v;

    if (!take(c, 1, &v)) {
        return false;
    }
    *out = (uint8_t)v;
    return true;
}

static uint64_t sign_extend(uint64_t v, unsigned bytes)
{
    unsigned unused = 64 - 8 * bytes;

    return (uint64_t)((int64_t)(v << unused) >> unused);
}

// ---- prefixes ----------------------------------------

static const struct {
    uint8_t byte, prefix, segment;
} prefixes[] = {
    {0x66, X86_PFX_OPERAND, SEG_NONE},
    {0xF3, X86_PFX_REP, SEG_NONE},
    {0xF0, X86_PFX_LOCK, SEG_NONE},
    {0xF2, X86_PFX_REPNE, SEG_NONE},
    {0x65, 0, SEG_GS},
    {0x64, 0, SEG_FS},
    {0x67, X86_PFX_ADDRESS, SEG_NONE},
    {0x3E, 0, SEG_DS},
    {0x2E, 0, 1},
    {0x26, 0, 0},
    {0x36, 0, SEG_SS},
};

static void note_prefix(struct x86_insn *in, uint8_t byte)
{
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        uint8_t seg = prefixes[i].segment;

        if (prefixes[i].byte != byte) {
            continue;
        }
        if (prefixes[i].prefix & (X86_PFX_REP | X86_PFX_REPNE)) { // the last one counts
            in->prefixes &= (uint8_t) ~(X86_PFX_REP | X86_PFX_REPNE);
        }
        in->prefixes |= prefixes[i].prefix;
        // 64-bit code has FS and GS only; the others' prefixes mean nothing there.
        if (seg != SEG_NONE && (in->mode < 8 || seg >= SEG_FS)) {
            in->segment = seg;
        }
        in->rex = 0; // it counts only right before the opcode
    }
}

// Leaves the first byte of the opcode in in->opcode.
static bool take_prefixes(struct cursor *c, struct x86_insn *in)
{
    for (;;) {
        if (!take_byte(c, &in->opcode)) {
            return false;
        }
        if (in->mode == 8 && (in->opcode & 0xF0) == X86_REX) {
            in->rex = in->opcode;
        } else if (map_byte[in->opcode] == 'p' && in->opcode != 0x0F) {
            note_prefix(in, in->opcode);
        } else {
            return true;
        }
    }
}

static void set_sizes(struct x86_insn *in)
{
    bool operand = in->prefixes & X86_PFX_OPERAND, address = in->prefixes & X86_PFX_ADDRESS;
    bool wide = in->mode == 2 ? operand : !operand;

    in->operand_size = in->rex & X86_REX_W ? 8 : wide ? 4 : 2;
    in->address_size = in->mode == 4 ? (address ? 2 : 4) : address ? 4 : in->mode;
}

// ---- opcode ------------------------------------------

static bool is_vector(const struct cursor *c, const struct x86_insn *in)
{
    uint8_t op = in->opcode;

    if (op != OPCODE_VEX2 && op != OPCODE_VEX3 && op != OPCODE_EVEX) {
        return false;
    }
    // Outside 64-bit code these are LES, LDS and BOUND, whose operand must be in memory.
    return in->mode == 8 || (c->at < c->end && c->bytes[c->at] >= 0xC0);
}

// Bits R, X and B come inverted, at the top.
static uint8_t inverted_rex(uint8_t byte)
{
    return (uint8_t)~byte >> 5 & (X86_REX_R | X86_REX_X | X86_REX_B);
}

// The two or three bytes after C5, C4 or 62, then the opcode.
static bool take_vector(struct cursor *c, struct x86_insn *in, unsigned *map)
{
    uint8_t kind = in->opcode, first, second = EVEX_FIXED;
    uint64_t third;

    if (!take_byte(c, &first)) {
        return false;
    }
    in->vector = true;
    *map = X86_MAP_0F;
    if (kind == OPCODE_VEX2) {
        in->rex = inverted_rex(first) & X86_REX_R;
        return take_byte(c, &in->opcode);
    }
    *map = first & (kind == OPCODE_EVEX ? 0x0F : 0x1F); // EVEX: bit 3 must be 0
    if (!take_byte(c, &second) || (kind == OPCODE_EVEX && !take(c, 1, &third)) ||
        !take_byte(c, &in->opcode)) {
        return false;
    }
    in->rex = (uint8_t)(inverted_rex(first) | (second & VEX_W ? X86_REX_W : 0));
    if (kind == OPCODE_EVEX && !(second & EVEX_FIXED)) {
        *map = X86_MAP_COUNT;
    }
    return true;
}

static unsigned vector_shape(const struct x86_insn *in, unsigned map, bool evex)
{
    char letter = map_0f[in->opcode];

    switch (map) {
    case X86_MAP_0F:
        return letter == 'm' || letter == 'B' || (in->opcode == OPCODE_EMMS && !evex)
                   ? shapes[(uint8_t)letter]
                   : UNDEFINED;
    case X86_MAP_0F38:
        return MODRM;
    case X86_MAP_0F3A:
        return MODRM | IMM8;
    case X86_MAP_5:
    case X86_MAP_6:
        return evex ? MODRM : UNDEFINED;
    default:
        return UNDEFINED;
    }
}

static bool take_vector_opcode(struct cursor *c, struct x86_insn *in, unsigned *shape)
{
    const uint8_t refused = X86_PFX_LOCK | X86_PFX_REP | X86_PFX_REPNE | X86_PFX_OPERAND;
    bool evex = in->opcode == OPCODE_EVEX, fits = !in->rex && !(in->prefixes & refused);
    unsigned map;

    if (!take_vector(c, in, &map)) {
        return false;
    }
    in->rex &= in->mode == 8 ? 0xFF : 0; // elsewhere there are eight registers, of 32 bits
    *shape = fits ? vector_shape(in, map, evex) : UNDEFINED;
    in->map = (uint8_t)map;
    return true;
}

// False: the bytes end.
static bool take_opcode(struct cursor *c, struct x86_insn *in, unsigned *shape)
{
    if (is_vector(c, in)) {
        return take_vector_opcode(c, in, shape);
    }
    *shape = shapes[(uint8_t)map_byte[in->opcode]];
    if (in->opcode != 0x0F) {
        return true;
    }
    in->map = X86_MAP_0F;
    if (!take_byte(c, &in->opcode)) {
        return false;
    }
    *shape = shapes[(uint8_t)map_0f[in->opcode]];
    if (in->opcode == 0x38 || in->opcode == 0x3A) {
        in->map = in->opcode == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
        *shape = in->opcode == 0x38 ? MODRM : MODRM | IMM8;
        return take_byte(c, &in->opcode);
    }
    return true;
}

// ---- operands ----------------------------------------

static const struct {
    uint8_t base, index;
} pairs_16bit[8] = {
    {3, 6}, {3, 7}, {5, 6}, {5, 7}, {6, X86_NO_REG}, {7, X86_NO_REG}, {5, X86_NO_REG}, {3, X86_NO_REG},
};

// Both return the size of the displacement; the cursor is after the ModRM byte.
static unsigned address_16bit(struct x86_insn *in)
{
    if (in->mod == 0 && in->rm == 6) {
        return 2;
    }
    in->base = pairs_16bit[in->rm].base;
    in->index = pairs_16bit[in->rm].index;
    return in->mod;
}

static bool address_wide(struct cursor *c, struct x86_insn *in, unsigned *size)
{
    uint8_t sib, low = in->rm;

    *size = in->mod == 0 ? 0 : in->mod == 1 ? 1 : 4;
    if (low == 4) {
        if (!take_byte(c, &sib)) {
            return false;
        }
        in->scale = (uint8_t)(1u << (sib >> 6));
        in->index = (uint8_t)((sib >> 3 & 7) | (in->rex & X86_REX_X ? 8 : 0));
        in->index = in->index == 4 ? X86_NO_REG : in->index;
        low = sib & 7;
    }
    if (low == 5 && in->mod == 0) { // no base
        in->rip_relative = in->mode == 8 && in->rm == 5;
        *size = 4;
        return true;
    }
    in->base = (uint8_t)(low | (in->rex & X86_REX_B ? 8 : 0));
    return true;
}

static bool take_memory(struct cursor *c, struct x86_insn *in)
{
    unsigned size;
    uint64_t v = 0;

    if (in->address_size == 2) {
        size = address_16bit(in);
    } else if (!address_wide(c, in, &size)) {
        return false;
    }
    if (size && !take(c, size, &v)) {
        return false;
    }
    in->displacement = size ? (int32_t)(int64_t)sign_extend(v, size) : 0;
    if (in->segment == SEG_NONE) {
        bool stack = in->base == 5 || (in->base == 4 && in->address_size != 2);

        in->segment = stack ? SEG_SS : SEG_DS;
    }
    return true;
}

static bool take_modrm(struct cursor *c, struct x86_insn *in, unsigned shape)
{
    uint8_t byte;

    if (!take_byte(c, &byte)) {
        return false;
    }
    in->modrm = true;
    in->mod = byte >> 6;
    in->reg = (uint8_t)((byte >> 3 & 7) | (in->rex & X86_REX_R ? 8 : 0));
    in->rm = byte & 7;
    in->memory = in->mod != 3 && !(shape & REGISTERS);
    if (in->memory) {
        return take_memory(c, in);
    }
    in->rm |= in->rex & X86_REX_B ? 8 : 0;
    return true;
}

static unsigned immediate_size(const struct x86_insn *in, unsigned shape)
{
    unsigned z = in->operand_size == 2 ? 2 : 4;

    if (shape & IMM_IF_TEST && (in->reg & 7) > 1) {
        return 0;
    }
    return (shape & IMM8 ? 1u : 0) + (shape & IMM16 ? 2u : 0) + (shape & IMM_Z ? z : 0) +
           (shape & IMM_V ? in->operand_size : 0u) + (shape & IMM_ADDRESS ? in->address_size : 0u) +
           (shape & IMM_NEAR ? (in->mode == 8 ? 4 : z) : 0);
}

static bool take_operands(struct cursor *c, struct x86_insn *in, unsigned shape)
{
    if (shape & MODRM && !take_modrm(c, in, shape)) {
        return false;
    }
    in->immediate_size = (uint8_t)immediate_size(in, shape);
    if (in->immediate_size) {
        if (!take(c, in->immediate_size, &in->immediate)) {
            return false;
        }
        if (!(shape & IMM_ADDRESS)) {
            in->immediate = sign_extend(in->immediate, in->immediate_size);
        }
    }
    return true;
}

enum x86_decode_result x86_decode(const uint8_t *bytes, unsigned size, unsigned mode, struct x86_insn *out)
{
    struct cursor c = {.bytes = bytes, .end = size < X86_INSN_MAX ? size : X86_INSN_MAX};
    enum x86_decode_result ended = size < X86_INSN_MAX ? X86_DECODE_SHORT : X86_DECODE_UNDEFINED;
    unsigned shape;

    memset(out, 0, sizeof(*out));
    out->mode = (uint8_t)mode;
    out->segment = SEG_NONE;
    out->base = out->index = X86_NO_REG;
    out->scale = 1;
    if (!take_prefixes(&c, out) || !take_opcode(&c, out, &shape)) {
        return ended;
    }
    if (shape & UNDEFINED || (shape & NOT_IN_64 && mode == 8)) {
        return X86_DECODE_UNDEFINED;
    }
    set_sizes(out);
    if (!take_operands(&c, out, shape)) {
        return ended;
    }
    if (out->segment == SEG_NONE) {
        out->segment = SEG_DS;
    }
    out->length = (uint8_t)c.at;
    return X86_DECODED;
}
