// SPDX-License-Identifier: Apache-2.0
//
// The virtual PLIC: claim and completion, gateways, priorities and thresholds, contexts that do not exist,
// every offset in every width, a random comparison with a plain model, save and restore.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/irqchip/plic_bench.h"

#define HARTS 3u

static int setup(void **state)
{
    (void)state;
    return plic_start(HARTS) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    plic_stop();
    return 0;
}

static void test_level(void **state)
{
    (void)state;
    plic_enable(0, 10, 1);
    assert_false(plic_output(0));
    plic_line(10, true);
    assert_true(bench.chip->ops->pending(bench.chip, 0));
    assert_true(plic_output(0));
    assert_int_equal(plic_read(0, PENDING(0)), 1u << 10);
    assert_int_equal(plic_claim(0), 10);
    assert_false(bench.notified[0]); // its own access: at once
    assert_false(plic_output(0));
    assert_int_equal(plic_read(0, PENDING(0)), 0);
    assert_int_equal(plic_claim(0), 0);
    plic_complete(0, 10); // still high: again
    assert_true(plic_output(0));
    assert_int_equal(plic_claim(0), 10);
    plic_line(10, false);
    plic_complete(0, 10);
    assert_false(plic_output(0));
    assert_int_equal(plic_claim(0), 0);
}

// A request that the gateway let through stays, whatever the line does (specification, chapter 5).
static void test_request_stays(void **state)
{
    (void)state;
    plic_line(7, true);
    plic_line(7, false);
    plic_enable(1, 7, 3);
    assert_true(plic_output(1));
    assert_int_equal(plic_claim(1), 7);
    plic_complete(1, 7);
    assert_false(plic_output(1));
}

static void test_edge(void **state)
{
    (void)state;
    vplic_set_edge(bench.chip, 5, true);
    plic_enable(0, 5, 1);
    plic_line(5, true);
    assert_int_equal(plic_claim(0), 5);
    plic_complete(0, 5);
    assert_int_equal(plic_claim(0), 0); // high, but no new edge
    plic_line(5, false);
    plic_line(5, true);
    assert_int_equal(plic_claim(0), 5);
    plic_line(5, false);
    plic_line(5, true); // while in flight: remembered, once
    plic_line(5, false);
    plic_line(5, true);
    assert_int_equal(plic_claim(0), 0);
    plic_complete(0, 5);
    assert_int_equal(plic_claim(0), 5);
    plic_complete(0, 5);
    assert_int_equal(plic_claim(0), 0);
}

static void test_priority(void **state)
{
    static const unsigned order[] = {40, 3, 4, 95};

    (void)state;
    plic_enable(0, 4, 2);
    plic_enable(0, 3, 2);
    plic_enable(0, 95, 1);
    plic_enable(0, 40, 7);
    plic_enable(0, 11, 0); // never interrupts
    for (unsigned s = 1; s < VPLIC_SOURCES; s++) {
        plic_line(s, true);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        assert_true(plic_output(0));
        assert_int_equal(plic_claim(0), order[i]);
    }
    assert_int_equal(plic_claim(0), 0);
    assert_false(plic_output(0));
    plic_write(0, PRIORITY(11), 1);
    assert_true(plic_output(0));
    plic_write(0, PRIORITY(11), 0xfffffff8); // only three bits exist
    assert_int_equal(plic_read(0, PRIORITY(11)), 0);
    assert_false(plic_output(0));
}

static void test_threshold(void **state)
{
    (void)state;
    plic_enable(2, 20, 3);
    plic_line(20, true);
    assert_true(plic_output(2));
    plic_write(2, THRESHOLD(5), 3);
    assert_int_equal(plic_read(2, THRESHOLD(5)), 3);
    assert_false(plic_output(2));
    plic_write(2, THRESHOLD(5), 2);
    assert_true(plic_output(2));
    plic_write(2, THRESHOLD(5), 0xffffffff);
    assert_int_equal(plic_read(2, THRESHOLD(5)), VPLIC_PRIORITY_MAX);
    assert_int_equal(plic_claim(2), 20); // a claim does not look at the threshold
}

static void test_two_contexts(void **state)
{
    (void)state;
    plic_enable(0, 8, 1);
    plic_enable(1, 8, 1);
    plic_line(8, true);
    assert_true(plic_output(0));
    assert_true(plic_output(1));
    assert_int_equal(plic_claim(1), 8);
    assert_true(bench.notified[0]); // the other one is told
    assert_false(plic_output(0));
    assert_int_equal(plic_claim(0), 0);
    plic_line(8, false);
    plic_complete(1, 8);
    // One vCPU may turn another's context on.
    plic_line(9, true);
    plic_write(0, PRIORITY(9), 1);
    plic_write(0, ENABLE(5, 0), 1u << 9);
    assert_true(bench.notified[2]);
    assert_true(plic_output(2));
}

static void test_foreign_completion(void **state)
{
    (void)state;
    plic_enable(0, 6, 1);
    plic_line(6, true);
    assert_int_equal(plic_claim(0), 6);
    plic_complete(1, 6); // not enabled there: ignored
    plic_complete(0, 0);
    plic_complete(0, VPLIC_SOURCES);
    plic_complete(0, 6 + 32);
    plic_complete(0, 0xffffffff);
    assert_int_equal(plic_claim(0), 0);
    plic_complete(0, 6);
    assert_int_equal(plic_claim(0), 6);
    // The claimant may complete after its enable went to another hart.
    plic_write(0, ENABLE(1, 0), 0);
    plic_enable(1, 6, 1);
    plic_complete(0, 6);
    assert_int_equal(plic_claim(1), 6);
    plic_complete(1, 6);
    plic_complete(1, 6); // not in flight any more
    assert_int_equal(plic_claim(1), 6);
}

static void test_absent_contexts(void **state)
{
    (void)state;
    plic_line(12, true);
    plic_write(0, PRIORITY(12), 1);
    for (unsigned c = 0; c < 64; c++) {
        bool real = (c & 1) && c / 2 < HARTS;

        plic_write(0, ENABLE(c, 0), real ? 0 : 0xffffffff);
        plic_write(0, THRESHOLD(c), 5);
        assert_int_equal(plic_read(0, ENABLE(c, 0)), 0);
        assert_int_equal(plic_read(0, THRESHOLD(c)), real ? 5 : 0);
        assert_int_equal(plic_read(0, CLAIM(c)), 0);
        plic_write(0, CLAIM(c), 12);
    }
    assert_int_equal(plic_read(0, ENABLE(1, 3)), 0);
    plic_write(0, ENABLE(1, 3), 0xffffffff); // sources 96 to 127
    assert_int_equal(plic_read(0, ENABLE(1, 3)), 0);
    plic_write(0, ENABLE(1, 0), 0xffffffff);
    assert_int_equal(plic_read(0, ENABLE(1, 0)), 0xfffffffe); // source 0 does not exist
    plic_write(0, PRIORITY(0), 7);
    assert_int_equal(plic_read(0, PRIORITY(0)), 0);
    plic_write(0, PRIORITY(VPLIC_SOURCES), 7);
    assert_int_equal(plic_read(0, PRIORITY(VPLIC_SOURCES)), 0);
    plic_line(0, true);
    plic_line(VPLIC_SOURCES, true);
    plic_line(UINT32_MAX, true);
    vplic_set_edge(bench.chip, 0, true);
    vplic_set_edge(bench.chip, VPLIC_SOURCES, true);
    assert_int_equal(plic_read(0, PENDING(0)), 1u << 12);
    plic_write(0, PENDING(0), 0); // read-only
    assert_int_equal(plic_read(0, PENDING(0)), 1u << 12);
}

static void test_sweep(void **state)
{
    (void)state;
    for (uint64_t off = 0; off < PLIC_SIZE; off += off < 0x4000 || off % 0x1000 < 16 ? 1 : 997) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            struct io_access r = {.size = (uint8_t)size, .value = UINT64_MAX};
            struct io_access w = {.size = (uint8_t)size, .write = true, .value = UINT64_MAX};
            enum io_result want = size == 4 && off % 4 == 0 ? IO_DONE : IO_BAD;

            if (off + size > PLIC_SIZE) {
                continue;
            }
            assert_int_equal(plic_access(1, off, &r), want);
            assert_int_equal(plic_access((unsigned)off % HARTS, off, &w), want);
        }
    }
    bench.chip->ops->reset(bench.chip);
    plic_enable(0, 1, 1);
    plic_line(1, true);
    assert_int_equal(plic_claim(0), 1);
}

static void test_reset(void **state)
{
    (void)state;
    plic_enable(0, 13, 4);
    plic_write(0, THRESHOLD(1), 2);
    plic_line(13, true);
    plic_line(14, true);
    assert_int_equal(plic_claim(0), 13);
    plic_line(14, false);
    bench.chip->ops->reset(bench.chip);
    assert_int_equal(plic_read(0, PRIORITY(13)), 0);
    assert_int_equal(plic_read(0, ENABLE(1, 0)), 0);
    assert_int_equal(plic_read(0, THRESHOLD(1)), 0);
    assert_int_equal(plic_read(0, PENDING(0)), 1u << 13); // its line is still high
    plic_enable(0, 13, 1);
    assert_int_equal(plic_claim(0), 13);
}

static void test_create_refuses(void **state)
{
    struct virqchip *other;

    (void)state;
    assert_int_equal(vplic_create(&bench.vm, PLIC_BASE, PLIC_SIZE, &other), E_EXISTS);
    assert_int_equal(vplic_create(&bench.vm, 0x20000000, VPLIC_SIZE(HARTS) - 1, &other), E_INVAL);
    bench.vm.vcpu_count = 0;
    assert_int_equal(vplic_create(&bench.vm, 0x20000000, PLIC_SIZE, &other), E_INVAL);
    bench.vm.vcpu_count = HARTS;
    assert_int_equal(bench.chip->ops->send_msi(bench.chip, 0, 0, 0), E_UNSUPPORTED);
}

// ---- random comparison ------------------------------------------------------------------------------------

// The specification as plainly as it can be written: one flag per thing.
static struct model {
    unsigned priority[VPLIC_SOURCES];
    bool level[VPLIC_SOURCES], edge[VPLIC_SOURCES], latched[VPLIC_SOURCES];
    bool pending[VPLIC_SOURCES], in_flight[VPLIC_SOURCES];
    int holder[VPLIC_SOURCES];
    bool enable[HARTS][VPLIC_SOURCES];
    unsigned threshold[HARTS];
} model;

static void model_gateways(void)
{
    for (unsigned s = 1; s < VPLIC_SOURCES; s++) {
        bool asks = model.edge[s] ? model.latched[s] : model.level[s];

        if (asks && !model.pending[s] && !model.in_flight[s]) {
            model.pending[s] = true;
            model.latched[s] = false;
        }
    }
}

static unsigned model_best(unsigned hart, unsigned above)
{
    unsigned best = 0;

    for (unsigned s = 1; s < VPLIC_SOURCES; s++) {
        if (model.pending[s] && model.enable[hart][s] && model.priority[s] > above) {
            above = model.priority[s];
            best = s;
        }
    }
    return best;
}

static unsigned model_claim(unsigned hart)
{
    unsigned s = model_best(hart, 0);

    if (s) {
        model.pending[s] = false;
        model.in_flight[s] = true;
        model.holder[s] = (int)hart;
    }
    return s;
}

static void model_complete(unsigned hart, unsigned s)
{
    if (s && s < VPLIC_SOURCES && model.in_flight[s] &&
        (model.enable[hart][s] || model.holder[s] == (int)hart)) {
        model.in_flight[s] = false;
        model.holder[s] = -1;
    }
}

static uint32_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static void random_config(unsigned hart, unsigned s)
{
    switch (pick(4)) {
    case 0:
        model.priority[s] = pick(8);
        plic_write(hart, PRIORITY(s), model.priority[s]);
        break;
    case 1:
        model.threshold[hart] = pick(4);
        plic_write(pick(HARTS), THRESHOLD(2 * hart + 1), model.threshold[hart]);
        break;
    default: {
        uint64_t reg = ENABLE(2 * hart + 1, s / 32);
        unsigned by = pick(HARTS);

        model.enable[hart][s] = !model.enable[hart][s];
        plic_write(by, reg, plic_read(by, reg) ^ UINT32_C(1) << s % 32);
    }
    }
}

static void random_step(void)
{
    unsigned hart = pick(HARTS);
    unsigned s = 1 + (pick(2) ? pick(8) : pick(VPLIC_SOURCES - 1));

    switch (pick(8)) {
    case 0:
    case 1:
    case 2: {
        bool level = pick(2) != 0;

        model.latched[s] |= level && !model.level[s] && model.edge[s];
        model.level[s] = level;
        plic_line(s, level);
        break;
    }
    case 3:
    case 4:
        assert_int_equal(plic_claim(hart), model_claim(hart));
        break;
    case 5:
        model_complete(hart, s);
        plic_complete(hart, s);
        break;
    default:
        random_config(hart, s);
    }
    model_gateways();
}

static void compare_with_model(void)
{
    for (unsigned w = 0; w < VPLIC_SOURCES / 32; w++) {
        uint32_t want = 0;

        for (unsigned i = 0; i < 32; i++) {
            want |= (model.pending[w * 32 + i] ? UINT32_C(1) : 0) << i;
        }
        assert_int_equal(plic_read(0, PENDING(w)), want);
    }
    for (unsigned h = 0; h < HARTS; h++) {
        assert_int_equal(plic_output(h), model_best(h, model.threshold[h]) != 0);
    }
}

static void random_run(uint32_t start, unsigned steps)
{
    memset(&model, 0, sizeof(model));
    seed = start;
    for (unsigned s = 1; s < VPLIC_SOURCES; s++) {
        model.edge[s] = s % 5 == 0;
        vplic_set_edge(bench.chip, s, model.edge[s]);
    }
    for (unsigned i = 0; i < steps; i++) {
        random_step();
        compare_with_model();
    }
}

static void test_random(void **state)
{
    for (uint32_t s = 1; s <= 20; s++) {
        random_run(s, 2000);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

// ---- save and restore -------------------------------------------------------------------------------------

static void test_save_restore(void **state)
{
    uint32_t size = bench.chip->ops->save(bench.chip, NULL, 0);
    void *buf = malloc(size);

    assert_non_null(buf);
    for (uint32_t s = 100; s < 110; s++) {
        random_run(s, 1500);
        assert_int_equal(bench.chip->ops->save(bench.chip, buf, size), size);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), OK);
        compare_with_model();
        for (unsigned i = 0; i < 1500; i++) {
            random_step();
            compare_with_model();
        }
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
    free(buf);
}

static void test_restore_refuses(void **state)
{
    uint32_t size = bench.chip->ops->save(bench.chip, NULL, 0);
    uint32_t *buf = malloc(size);

    (void)state;
    assert_non_null(buf);
    plic_enable(0, 3, 1);
    plic_line(3, true);
    assert_int_equal(bench.chip->ops->save(bench.chip, buf, size), size);
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size - 4), E_CORRUPT);
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, 4), E_CORRUPT);
    buf[0]++;
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), E_UNSUPPORTED);
    buf[0]--;
    buf[2]++;
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), E_INVAL);
    assert_int_equal(plic_claim(0), 3); // nothing changed
    // Any content of the right shape is survived.
    memset(buf + 4, 0xff, size - 16);
    buf[2]--;
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), OK);
    for (unsigned i = 0; i < 2 * VPLIC_SOURCES; i++) {
        plic_complete(0, plic_claim(0));
    }
    free(buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threshold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_contexts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_completion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent_contexts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_save_restore, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restore_refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
