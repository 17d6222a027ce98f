// SPDX-License-Identifier: Apache-2.0
//
// Kernels for M-mode are known by their first instructions, wherever the image has its entry; others are left alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/loader/files.h"
#include "vmm/loader/rv_entry.h"

#define NOP 0x00000013u
#define C_NOP 0x0001u
#define CSRR_MHARTID 0xf1402573u // csrr a0, mhartid
#define CSRW_MTVEC 0x30529073u
#define CSRCI_MSTATUS 0x30047073u
#define CSRR_SSTATUS 0x10002573u
#define CSRW_STVEC 0x10529073u
#define CSRR_TIME 0xc0102573u
#define MRET 0x30200073u
#define SRET 0x10200073u
#define ECALL 0x00000073u
#define WFI 0x10500073u
#define JALR_T0 0x00028067u // jr t0
#define C_JR_RA 0x8082u
#define J_PLUS_16 0x0100006fu
#define J_MINUS_4 0xffdff06fu
#define J_SELF 0x0000006fu
#define JAL_RA_PLUS_16 0x010000efu
#define BNEZ_A0 0x00051463u

static uint8_t data[0x2000];

static enum status check(size_t size, uint64_t off)
{
    static struct file file;
    static struct load_error error;

    file = (struct file){.data = data, .size = size};
    struct image_source src = file_source(&file);
    error.text[0] = 0;
    enum status st = rv_entry_check(&src, off, &error);
    if (st != OK) {
        assert_int_equal(st, E_UNSUPPORTED);
        assert_non_null(strstr(error.text, "is built for M-mode"));
    }
    return st;
}

static void test_first_instructions(void **state)
{
    static const struct {
        uint32_t words[6]; // what follows the last is a path's end
        bool m_mode;
    } cases[] = {
        {{CSRR_MHARTID}, true},
        {{NOP, CSRW_MTVEC}, true},
        {{NOP, NOP, CSRCI_MSTATUS}, true},
        {{NOP, MRET}, true},
        {{BNEZ_A0, CSRR_MHARTID}, true},
        {{JAL_RA_PLUS_16, CSRR_MHARTID}, true}, // a call: what is behind it runs as well
        {{J_PLUS_16, NOP, NOP, NOP, CSRR_MHARTID}, true},
        {{CSRR_SSTATUS, CSRW_STVEC, CSRR_TIME, ECALL, WFI, SRET}, false},
        {{J_PLUS_16, CSRR_MHARTID, NOP, NOP, NOP, SRET}, false}, // never reached
        {{JALR_T0, CSRR_MHARTID}, false},
        {{NOP, J_MINUS_4, CSRR_MHARTID}, false}, // a loop
        {{J_SELF, CSRR_MHARTID}, false},
        {{C_JR_RA | C_NOP << 16, CSRR_MHARTID}, false},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memset(data, 0, sizeof(data));
        memcpy(data + 0x1ffc - sizeof(cases[i].words), cases[i].words, sizeof(cases[i].words));
        assert_int_equal(check(sizeof(data), 0x1ffc - sizeof(cases[i].words)),
                         cases[i].m_mode ? E_UNSUPPORTED : OK);
    }
}

static void test_compressed(void **state)
{
    (void)state;
    memset(data, 0, sizeof(data));
    put32(data, 0xa021u << 16 | C_NOP); // c.nop; c.j +8: to 0xa
    memcpy(data + 10, &(uint32_t){CSRR_MHARTID}, 4);
    assert_int_equal(check(sizeof(data), 0), E_UNSUPPORTED);
    memset(data + 10, 0, 4);
    put32(data + 4, CSRR_MHARTID); // jumped over
    assert_int_equal(check(sizeof(data), 0), OK);
    put32(data, 0xbffdu << 16 | C_NOP); // c.j -2: a loop
    assert_int_equal(check(sizeof(data), 0), OK);
}

// Every end of the file, every offset: nothing is read outside (the sanitisers watch), and nothing loops for ever.
static void test_edges(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 167 + (i >> 3));
    }
    for (uint64_t size = 1; size < 80; size++) {
        for (uint64_t off = 0; off < 84; off++) {
            (void)!check(size, off);
        }
    }
    assert_int_equal(check(64, UINT64_MAX), OK);
    for (unsigned i = 0; i < sizeof(data); i += 4) {
        put32(data + i, NOP);
    }
    put32(data + 4 * 255, CSRR_MHARTID);
    assert_int_equal(check(sizeof(data), 0), E_UNSUPPORTED);
    put32(data + 4 * 255, NOP);
    put32(data + 4 * 256, CSRR_MHARTID); // so far nobody looks
    assert_int_equal(check(sizeof(data), 0), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_instructions),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
