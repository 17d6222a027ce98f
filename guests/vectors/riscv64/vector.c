// SPDX-License-Identifier: Apache-2.0
//
// RISC-V "V" Extension 1.0: v0 to v31, vtype, vl, vcsr and vstart.
#include "guests/vectors/vectors.h"

#include "guests/lib/riscv64/cpu.h"

#define BYTES_MAX 256u
#define SSTATUS_VS_INITIAL 0x200u
#define VTYPE_TA 0x40u

static unsigned bytes;
static uint8_t image[32 * BYTES_MAX];

#define V_CODE(text) ".option push\n\t.option arch, +v\n\t" text "\n\t.option pop"

unsigned vector_setup(void)
{
    uint64_t v = 0;

    trap_expected = true;
    last_trap.taken = false;
    set_csr("sstatus", SSTATUS_VS_INITIAL);
    __asm__ volatile(".balign 4\n\tcsrr %0, 0xC22" : "=r"(v)); // vlenb
    trap_expected = false;
    bytes = last_trap.taken || v > BYTES_MAX ? 0 : (unsigned)v;
    return bytes;
}

// Eight registers a move, which ask for no vtype.
static void move_in(const uint8_t *from)
{
    const size_t step = 8 * (size_t)bytes;

    __asm__ volatile(
        V_CODE("vl8re8.v v0, (%0)\n\tvl8re8.v v8, (%1)\n\tvl8re8.v v16, (%2)\n\tvl8re8.v v24, (%3)")
        :
        : "r"(from), "r"(from + step), "r"(from + 2 * step), "r"(from + 3 * step)
        : "memory");
}

static void move_out(uint8_t *to)
{
    const size_t step = 8 * (size_t)bytes;

    __asm__ volatile(V_CODE("vs8r.v v0, (%0)\n\tvs8r.v v8, (%1)\n\tvs8r.v v16, (%2)\n\tvs8r.v v24, (%3)")
                     :
                     : "r"(to), "r"(to + step), "r"(to + 2 * step), "r"(to + 3 * step)
                     : "memory");
}

static uint8_t byte_of(uint64_t seed, size_t i)
{
    return (uint8_t)((seed >> i % 57) + i * 29);
}

// Elements of 8 to 64 bits, from none to all that one register holds; one of four rounding modes, saturated or not.
static uint64_t type_of(uint64_t seed)
{
    return VTYPE_TA | (seed >> 3 & 3) << 3;
}

static uint64_t length_of(uint64_t seed)
{
    return (seed >> 8) % (bytes / (1u << (seed >> 3 & 3)) + 1);
}

void vector_fill(uint64_t seed)
{
    for (size_t i = 0; i < 32 * (size_t)bytes; i++) {
        image[i] = byte_of(seed, i);
    }
    move_in(image);
    __asm__ volatile(V_CODE("vsetvl zero, %0, %1\n\tcsrw vcsr, %2")
                     :
                     : "r"(length_of(seed)), "r"(type_of(seed)), "r"(seed & 7));
    __asm__ volatile(V_CODE("csrw vstart, %0") : : "r"(seed >> 5 & 3));
}

bool vector_check(uint64_t seed)
{
    uint64_t start, type, length, control;
    bool same;

    __asm__ volatile(
        V_CODE("csrr %0, vstart\n\tcsrr %1, vtype\n\tcsrr %2, vl\n\tcsrr %3, vcsr\n\tcsrw vstart, zero")
        : "=r"(start), "=r"(type), "=r"(length), "=r"(control));
    move_out(image);
    same = start == (seed >> 5 & 3) && type == type_of(seed) && length == length_of(seed) &&
           control == (seed & 7);
    for (size_t i = 0; i < 32 * (size_t)bytes; i++) {
        same = same && image[i] == byte_of(seed, i);
    }
    return same;
}
