// SPDX-License-Identifier: Apache-2.0
//
// See rv_entry.h. Jumps are followed, calls and conditional branches are stepped over, and where the path cannot be seen
// (an indirect jump, the end of the file) the benefit of the doubt is given. Encodings: RISC-V Unprivileged ISA, chapter
// 35; CSR numbers say their privilege in bits 9:8 (Privileged Architecture, 2.1).
#include "vmm/loader/rv_entry.h"

#include "kernel/lib/range.h"

#define STEPS_MAX 256u
#define WINDOW 512u

#define OPCODE(word) ((word)&0x7fu)
#define OP_JAL 0x6fu
#define OP_JALR 0x67u
#define OP_SYSTEM 0x73u
#define RD(word) ((word) >> 7 & 31u)
#define FUNCT3(word) ((word) >> 12 & 7u)
#define CSR(word) ((word) >> 20)
#define MRET 0x30200073u
#define CSR_MODE(csr) ((csr) >> 8 & 3u)
#define MODE_M 3u
// Compressed: c.j, c.jr and c.jalr with their operands masked out.
#define C_J_MASK 0xe003u
#define C_J 0xa001u
#define C_JR_MASK 0xf07fu
#define C_JR 0x8002u

struct walk {
    const struct image_source *src;
    uint64_t at;    // offset in the file of the next instruction
    uint64_t start; // of what is in `bytes`
    uint64_t have;
    uint8_t bytes[WINDOW];
};

static uint64_t sign_extend(uint64_t v, unsigned bits)
{
    uint64_t sign = BIT64(bits - 1);

    return (v ^ sign) - sign;
}

static uint64_t jal_offset(uint32_t w)
{
    uint64_t v = (uint64_t)(w >> 31) << 20 | (uint64_t)(w >> 12 & 0xff) << 12 |
                 (uint64_t)(w >> 20 & 1) << 11 | (uint64_t)(w >> 21 & 0x3ff) << 1;

    return sign_extend(v, 21);
}

// imm[11|4|9:8|10|6|7|3:1|5] in bits 12:2
static uint64_t c_j_offset(uint32_t w)
{
    uint64_t v = (w >> 12 & 1u) << 11 | (w >> 11 & 1u) << 4 | (w >> 9 & 3u) << 8 | (w >> 8 & 1u) << 10 |
                 (w >> 7 & 1u) << 6 | (w >> 6 & 1u) << 7 | (w >> 3 & 7u) << 1 | (w >> 2 & 1u) << 5;

    return sign_extend(v, 12);
}

// The instruction at w->at, zero when it does not lie in the file: an illegal one, where the walk ends.
static uint32_t fetch(struct walk *w)
{
    if (w->at >= w->src->size) {
        return 0;
    }
    uint64_t len = min_u64(4, w->src->size - w->at);
    if (!range_contains(w->start, w->have, w->at, len)) {
        w->start = w->at;
        w->have = min_u64(WINDOW, w->src->size - w->at);
        if (image_read(w->src, w->start, w->bytes, w->have) != OK) {
            w->have = 0;
            return 0;
        }
    }
    const uint8_t *p = w->bytes + (w->at - w->start);
    if ((*p & 3) != 3) {
        return len >= 2 ? image_le16(p) : 0;
    }
    return len == 4 ? image_le32(p) : 0;
}

static bool belongs_to_m_mode(uint32_t word)
{
    if (OPCODE(word) != OP_SYSTEM) {
        return false;
    }
    return word == MRET || (FUNCT3(word) % 4 != 0 && CSR_MODE(CSR(word)) == MODE_M);
}

// Moves on; false where the path ends.
static bool step(struct walk *w, uint32_t word)
{
    if ((word & 3) != 3) {
        if (word == 0 || (word & C_JR_MASK) == C_JR) {
            return false;
        }
        w->at += (word & C_J_MASK) == C_J ? c_j_offset(word) : 2;
        return true;
    }
    if (OPCODE(word) == OP_JALR && RD(word) == 0) {
        return false;
    }
    w->at += OPCODE(word) == OP_JAL && RD(word) == 0 ? jal_offset(word) : 4;
    return true;
}

enum status rv_entry_check(const struct image_source *src, uint64_t off, struct load_error *error)
{
    struct walk w = {.src = src, .at = off};

    for (unsigned i = 0; i < STEPS_MAX; i++) {
        uint32_t word = fetch(&w);

        if (belongs_to_m_mode(word)) {
            return load_fail(
                error, E_UNSUPPORTED,
                "is built for M-mode (instruction 0x%08x at offset 0x%llx of the file): guests run in "
                "S-mode, take its S-mode build",
                word, (unsigned long long)w.at);
        }
        if (!step(&w, word)) {
            break;
        }
    }
    return OK;
}
