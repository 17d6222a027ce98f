// SPDX-License-Identifier: Apache-2.0
//
// Guests' page tables of all formats: where they lead, who may go there, what a walk leaves in them, and tables that change
// while they are walked.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/virt/x86_walk.h"

#define SIZE 0x10000u
#define PG BIT64(31)
#define WP BIT64(16)
#define PSE BIT64(4)
#define PAE BIT64(5)
#define LA57 BIT64(12)
#define SMAP BIT64(21)
#define LMA BIT64(10)
#define NXE BIT64(11)
#define AC BIT64(18)
#define P UINT64_C(1)
#define RW UINT64_C(2)
#define US UINT64_C(4)
#define A UINT64_C(0x20)
#define D UINT64_C(0x40)
#define PS UINT64_C(0x80)
#define NX BIT64(63)
#define ALL (P | RW | US)
#define VA UINT64_C(0x123456789ABC)

static _Alignas(8) uint8_t memory[SIZE];
static unsigned races;   // swaps that find something else
static uint64_t rom_end; // what is below cannot be written

static bool memory_read(struct arch_vcpu *av, gpa_t where, void *buf, unsigned len)
{
    (void)av;
    if (where.v >= SIZE || len > SIZE - where.v) {
        return false;
    }
    memcpy(buf, memory + where.v, len);
    return true;
}

static bool memory_swap(struct arch_vcpu *av, gpa_t where, unsigned size, uint64_t *old, uint64_t v)
{
    uint64_t now = 0;

    (void)av;
    assert_true(size == 4 || size == 8);
    assert_true(is_aligned(where.v, size));
    if (where.v >= SIZE || where.v < rom_end) {
        return false;
    }
    if (races) {
        races--;
        memory[where.v + 1] ^= 2; // bit 9: for software
    }
    memcpy(&now, memory + where.v, size);
    if (now == *old) {
        memcpy(memory + where.v, &v, size);
    }
    *old = now;
    return true;
}

static const struct vcpu_upcalls upcalls = {.read = memory_read, .swap = memory_swap};
static struct arch_vcpu vcpu = {.up = &upcalls};

static void put(uint64_t where, uint64_t v)
{
    memcpy(memory + where, &v, 8);
}

static uint64_t word(uint64_t where)
{
    uint64_t v;

    memcpy(&v, memory + where, 8);
    return v;
}

static struct x86_paging fresh(uint64_t cr4, uint64_t efer)
{
    memset(memory, 0, sizeof(memory));
    races = 0;
    rom_end = 0;
    return (struct x86_paging){
        .av = &vcpu, .cr0 = PG | WP, .cr3 = 0x1000, .cr4 = cr4, .efer = efer, .reserved = MASK64(40, 12)};
}

// Tables at 0x1000 and up for VA, 4 KiB, page at 0x7654000.
static struct x86_paging long_mode(void)
{
    struct x86_paging p = fresh(PAE, LMA | NXE);

    put(0x1000 + (VA >> 39 & 511) * 8, 0x2000 | ALL);
    put(0x2000 + (VA >> 30 & 511) * 8, 0x3000 | ALL);
    put(0x3000 + (VA >> 21 & 511) * 8, 0x4000 | ALL);
    put(0x4000 + (VA >> 12 & 511) * 8, 0x7654000 | ALL);
    return p;
}

#define LEAF (0x4000 + (VA >> 12 & 511) * 8)
#define DIRECTORY (0x3000 + (VA >> 21 & 511) * 8)

static const struct x86_walk_for read_it = {0}, write_it = {.write = true}, user_read = {.user = true},
                                 user_write = {.write = true, .user = true};

// The error code; -1: allowed, -2: again.
static int attempt(const struct x86_paging *p, struct x86_walk_for why, uint64_t *out)
{
    uint32_t error;

    switch (x86_walk(p, VA, why, out, &error)) {
    case X86_WALK_DONE:
        return -1;
    case X86_WALK_FAULT:
        return (int)error;
    case X86_WALK_AGAIN:
        break;
    }
    return -2;
}

static void test_no_paging(void **state)
{
    struct x86_paging p = fresh(PAE, 0);
    uint64_t out;

    (void)state;
    p.cr0 = 0;
    assert_int_equal(attempt(&p, user_write, &out), -1);
    assert_int_equal(out, VA & UINT32_MAX);
    assert_true(x86_walk_peek(&p, VA, &out));
    assert_int_equal(out, VA & UINT32_MAX);
}

static void test_four_levels(void **state)
{
    struct x86_paging p = long_mode();
    uint64_t out;

    (void)state;
    assert_true(x86_walk_peek(&p, VA, &out));
    assert_int_equal(out, 0x7654ABC);
    assert_int_equal(word(LEAF), 0x7654000 | ALL);
    assert_int_equal(attempt(&p, read_it, &out), -1);
    assert_int_equal(out, 0x7654ABC);
    assert_int_equal(word(LEAF), 0x7654000 | ALL | A);
    assert_int_equal(word(DIRECTORY), 0x4000 | ALL | A);
    assert_int_equal(attempt(&p, user_write, &out), -1);
    assert_int_equal(word(LEAF), 0x7654000 | ALL | A | D);
    assert_int_equal(word(DIRECTORY), 0x4000 | ALL | A);
    put(LEAF, 0);
    assert_false(x86_walk_peek(&p, VA, &out));
    assert_int_equal(attempt(&p, user_write, &out), X86_PF_WRITE | X86_PF_USER);
    assert_int_equal(attempt(&p, read_it, &out), 0);
    put(DIRECTORY, 0x12345000 | ALL); // a table where no memory is
    assert_int_equal(attempt(&p, read_it, &out), 0);
}

static void test_large_pages(void **state)
{
    struct x86_paging p = long_mode();
    uint64_t out;

    (void)state;
    put(DIRECTORY, 0x40000000 | BIT64(12) | ALL | PS);
    assert_int_equal(attempt(&p, write_it, &out), -1);
    assert_int_equal(out, 0x40000000 | (VA & MASK64(0, 21)));
    assert_int_equal(word(DIRECTORY), 0x40000000 | BIT64(12) | ALL | PS | A | D);
    put(DIRECTORY, 0x40002000 | ALL | PS);
    assert_int_equal(attempt(&p, read_it, &out), X86_PF_PRESENT | X86_PF_RESERVED);
    put(0x2000 + (VA >> 30 & 511) * 8, 0x80000000 | ALL | PS);
    assert_int_equal(attempt(&p, read_it, &out), -1);
    assert_int_equal(out, 0x80000000 | (VA & MASK64(0, 30)));
    put(0x1000 + (VA >> 39 & 511) * 8, 0x2000 | ALL | PS);
    assert_int_equal(attempt(&p, read_it, &out), X86_PF_PRESENT | X86_PF_RESERVED);
}

static void test_five_levels(void **state)
{
    struct x86_paging p = long_mode();
    uint64_t out;

    (void)state;
    p.cr4 |= LA57;
    p.cr3 = 0x5000;
    assert_int_equal(attempt(&p, read_it, &out), 0);
    put(0x5000, 0x1000 | ALL);
    assert_int_equal(attempt(&p, read_it, &out), -1);
    assert_int_equal(out, 0x7654ABC);
    assert_int_equal(word(0x5000), 0x1000 | ALL | A);
}

static void test_reserved_bits(void **state)
{
    struct x86_paging p = long_mode();
    uint64_t out;

    (void)state;
    put(LEAF, 0x7654000 | ALL | BIT64(40));
    assert_int_equal(attempt(&p, user_read, &out), X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_USER);
    put(LEAF, 0x7654000 | ALL | NX | BIT64(55));
    assert_int_equal(attempt(&p, write_it, &out), -1);
    p.efer = LMA;
    assert_int_equal(attempt(&p, write_it, &out), X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_WRITE);
    // An entry above one that is not present is met first.
    p.efer |= NXE;
    put(LEAF, 0);
    put(DIRECTORY, 0x4000 | ALL | BIT64(51));
    assert_int_equal(attempt(&p, read_it, &out), X86_PF_PRESENT | X86_PF_RESERVED);
}

static void test_rights(void **state)
{
    struct x86_paging p = long_mode();
    uint64_t out;

    (void)state;
    put(DIRECTORY, 0x4000 | P | US); // read-only by one level
    assert_int_equal(attempt(&p, user_read, &out), -1);
    assert_int_equal(attempt(&p, user_write, &out), X86_PF_PRESENT | X86_PF_WRITE | X86_PF_USER);
    assert_int_equal(attempt(&p, write_it, &out), X86_PF_PRESENT | X86_PF_WRITE);
    assert_int_equal(word(LEAF) & D, 0);
    p.cr0 &= ~WP;
    assert_int_equal(attempt(&p, write_it, &out), -1);
    assert_int_equal(attempt(&p, user_write, &out), X86_PF_PRESENT | X86_PF_WRITE | X86_PF_USER);
    put(DIRECTORY, 0x4000 | P | RW); // the kernel's
    assert_int_equal(attempt(&p, user_read, &out), X86_PF_PRESENT | X86_PF_USER);
    assert_int_equal(attempt(&p, write_it, &out), -1);
    put(DIRECTORY, 0x4000 | ALL);
    p.cr4 |= SMAP;
    assert_int_equal(attempt(&p, read_it, &out), X86_PF_PRESENT);
    assert_int_equal(attempt(&p, user_read, &out), -1);
    p.flags = AC;
    assert_int_equal(attempt(&p, read_it, &out), -1);
}

static void test_32bit(void **state)
{
    struct x86_paging p = fresh(0, 0);
    uint32_t low = (uint32_t)VA, e;
    uint64_t out;

    (void)state;
    e = 0x2000 | ALL | PS; // PS means nothing without PSE
    memcpy(memory + 0x1000 + (low >> 22) * 4, &e, 4);
    e = 0x8765000 | ALL;
    memcpy(memory + 0x2000 + (low >> 12 & 1023) * 4, &e, 4);
    assert_int_equal(attempt(&p, user_write, &out), -1);
    assert_int_equal(out, 0x8765ABC);
    memcpy(&e, memory + 0x2000 + (low >> 12 & 1023) * 4, 4);
    assert_int_equal(e, 0x8765000 | ALL | A | D);
    p.cr4 = PSE;
    e = 0x12400000 | (uint32_t)BIT64(13) | ALL | PS;
    memcpy(memory + 0x1000 + (low >> 22) * 4, &e, 4);
    assert_int_equal(attempt(&p, read_it, &out), -1);
    assert_int_equal(out, 0x112400000 | (low & MASK64(0, 22)));
    e |= (uint32_t)BIT64(21);
    memcpy(memory + 0x1000 + (low >> 22) * 4, &e, 4);
    assert_int_equal(attempt(&p, read_it, &out), X86_PF_PRESENT | X86_PF_RESERVED);
}

static void test_pae(void **state)
{
    struct x86_paging p = fresh(PAE, NXE);
    uint32_t low = (uint32_t)VA;
    uint64_t out;

    (void)state;
    p.cr3 = 0x1020; // 32 bytes are enough
    put(0x1020 + (low >> 30) * 8, 0x3000 | P);
    put(0x3000 + (low >> 21 & 511) * 8, 0x4000 | ALL);
    put(0x4000 + (low >> 12 & 511) * 8, UINT64_C(0x987654000) | ALL);
    assert_int_equal(attempt(&p, user_write, &out), -1);
    assert_int_equal(out, UINT64_C(0x987654ABC));
    assert_int_equal(word(0x1020 + (low >> 30) * 8), 0x3000 | P);
    put(0x4000 + (low >> 12 & 511) * 8, UINT64_C(0x987654000) | ALL | BIT64(55));
    assert_int_equal(attempt(&p, read_it, &out), X86_PF_PRESENT | X86_PF_RESERVED);
}

static void test_tables_that_change(void **state)
{
    struct x86_paging p = long_mode();
    uint64_t out;

    (void)state;
    races = 2;
    assert_int_equal(attempt(&p, write_it, &out), -1);
    assert_int_equal(out, 0x7654ABC);
    p = long_mode();
    races = UINT32_MAX;
    assert_int_equal(attempt(&p, write_it, &out), -2);
    p = long_mode();
    rom_end = SIZE; // tables in ROM: nothing to mark
    assert_int_equal(attempt(&p, write_it, &out), -1);
    assert_int_equal(word(LEAF), 0x7654000 | ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_paging),
        cmocka_unit_test(test_four_levels),
        cmocka_unit_test(test_large_pages),
        cmocka_unit_test(test_five_levels),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_32bit),
        cmocka_unit_test(test_pae),
        cmocka_unit_test(test_tables_that_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
