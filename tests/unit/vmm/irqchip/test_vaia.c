// SPDX-License-Identifier: Apache-2.0
//
// The virtual AIA: messages and their CSRs, wires through the APLIC, who may reach what, every offset in
// every width, save and restore.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/machine.h"
#include "tests/unit/vmm/irqchip/aia_bench.h"

#define HARTS 3u
#define EIDELIVERY 0x70u
#define EITHRESHOLD 0x72u
#define EIP 0x80u
#define EIE 0xc0u

#define DOMAINCFG APLIC
#define SOURCECFG(n) (APLIC + 4u * (n))
#define SETIP (APLIC + 0x1c00)
#define SETIPNUM (APLIC + 0x1cdc)
#define IN_CLRIP (APLIC + 0x1d00)
#define CLRIPNUM (APLIC + 0x1ddc)
#define SETIE (APLIC + 0x1e00)
#define SETIENUM (APLIC + 0x1edc)
#define CLRIENUM (APLIC + 0x1fdc)
#define SETIPNUM_LE (APLIC + 0x2000)
#define SETIPNUM_BE (APLIC + 0x2004)
#define GENMSI (APLIC + 0x3000)
#define TARGET(n) (APLIC + 0x3000 + 4u * (n))
#define FILE_OF(hart) (IMSIC + 0x1000u * (hart))
#define EDGE 4u
#define LEVEL 6u

static int setup(void **state)
{
    (void)state;
    return aia_start(HARTS) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    aia_stop();
    return 0;
}

static void open_file(unsigned hart)
{
    aia_set(hart, EIDELIVERY, 1);
    for (unsigned w = 0; w < 4; w++) {
        aia_set(hart, EIE + 2 * w, UINT64_MAX);
    }
}

static void wire(unsigned source, unsigned mode, unsigned hart, unsigned id)
{
    aia_write(0, SOURCECFG(source), mode);
    aia_write(0, TARGET(source), hart << 18 | id);
    aia_write(0, SETIENUM, source);
    aia_write(0, DOMAINCFG, 0x100);
}

static void line(unsigned source, bool level)
{
    bench.chip->ops->set_line(bench.chip, source, level);
}

static void messages(void **state)
{
    uint64_t top;

    (void)state;
    aia_write(0, FILE_OF(1), 33);
    assert_false(aia_output(1));
    assert_int_equal(aia_get(1, EIP), UINT64_C(1) << 33);
    aia_set(1, EIE, UINT64_C(1) << 33);
    assert_false(aia_output(1)); // delivery is off
    assert_true(aia_csr(1, VAIA_CSR_STOPEI, false, 0, &top));
    assert_int_equal(top, 33 << 16 | 33); // the CSR says so all the same
    aia_set(1, EIDELIVERY, 1);
    assert_true(aia_output(1));
    assert_int_equal(aia_claim(1), 33);
    assert_false(aia_output(1));
    assert_int_equal(aia_claim(1), 0);
}

static void lowest_identity_first(void **state)
{
    static const unsigned order[] = {1, 2, 63, 64, 200, 255};

    (void)state;
    open_file(0);
    for (unsigned i = ARRAY_SIZE(order); i-- > 0;) {
        aia_write(1, FILE_OF(0), order[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        assert_true(aia_output(0));
        assert_int_equal(aia_claim(0), order[i]);
    }
    assert_false(aia_output(0));
}

static void threshold_holds_back(void **state)
{
    (void)state;
    open_file(0);
    aia_write(0, FILE_OF(0), 20);
    aia_set(0, EITHRESHOLD, 20);
    assert_false(aia_output(0));
    assert_int_equal(aia_claim(0), 0);
    aia_set(0, EITHRESHOLD, 21);
    assert_true(aia_output(0));
    aia_set(0, EITHRESHOLD, 0xfffff);
    assert_int_equal(aia_get(0, EITHRESHOLD), 255);
    assert_int_equal(aia_claim(0), 20);
}

static void csr_bits(void **state)
{
    uint64_t old = 1;

    (void)state;
    aia_set(0, EIE, UINT64_MAX);
    assert_int_equal(aia_get(0, EIE), ~UINT64_C(1)); // identity 0 does not exist
    aia_set(0, EIE + 6, UINT64_MAX);
    assert_int_equal(aia_get(0, EIE + 6), UINT64_MAX);
    aia_set(0, EIE + 8, UINT64_MAX); // identities from 256 on: none
    assert_int_equal(aia_get(0, EIE + 8), 0);
    aia_set(0, EIDELIVERY, 1);
    aia_set(0, EIDELIVERY, 0x40000000);
    assert_int_equal(aia_get(0, EIDELIVERY), 1);
    // csrrs and csrrc
    assert_true(
        bench.chip->ops->sysreg(bench.chip, 0, VAIA_SYSREG(VAIA_CSR_SIREG, EIP), true, 0x30, 0, &old));
    assert_int_equal(old, 0);
    assert_true(
        bench.chip->ops->sysreg(bench.chip, 0, VAIA_SYSREG(VAIA_CSR_SIREG, EIP), true, 0, 0x10, &old));
    assert_int_equal(old, 0x30);
    assert_int_equal(aia_get(0, EIP), 0x20);
    for (unsigned select = 0; select < 0x200; select++) {
        bool there = select == EIDELIVERY || select == EITHRESHOLD ||
                     (select >= EIP && select < 0x100 && !(select & 1));

        assert_int_equal(aia_csr(0, VAIA_SYSREG(VAIA_CSR_SIREG, select), false, 0, &old), there);
    }
    assert_false(aia_csr(0, 0x150, true, 0, &old));
    assert_false(aia_csr(HARTS, VAIA_CSR_STOPEI, true, 0, &old));
}

// Nobody reaches a file that is not there, nor an identity out of range.
static void bad_messages(void **state)
{
    static const uint32_t bad[] = {0, 256, 0x7ff, 0x800, 0xffffffff};

    (void)state;
    for (unsigned h = 0; h < HARTS; h++) {
        open_file(h);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        aia_write(0, FILE_OF(1), bad[i]);
        aia_write(0, GENMSI, 1u << 18 | bad[i]);
    }
    aia_write(0, FILE_OF(1) + 8, 5);
    aia_write(0, GENMSI, HARTS << 18 | 5);
    aia_write(0, GENMSI, 0x3fffu << 18 | 5);
    for (unsigned h = 0; h < HARTS; h++) {
        assert_int_equal(aia_claim(h) & ~255u, 0);
        assert_true(aia_claim(h) == 0 || h == 1);
    }
    assert_int_equal(bench.chip->ops->send_msi(bench.chip, 0, FILE_OF(HARTS), 5), E_RANGE);
    assert_int_equal(bench.chip->ops->send_msi(bench.chip, 0, IMSIC - 4, 5), E_RANGE);
    assert_int_equal(bench.chip->ops->send_msi(bench.chip, 0, FILE_OF(1) + 4, 5), E_RANGE);
    assert_int_equal(bench.chip->ops->send_msi(bench.chip, 7, FILE_OF(2), 5), OK);
    assert_int_equal(aia_claim(2), 5);
}

static void byte_orders(void **state)
{
    (void)state;
    open_file(0);
    aia_write(0, FILE_OF(0) + 4, 0x11000000);
    assert_int_equal(aia_claim(0), 0x11);
    wire(3, EDGE, 0, 9);
    aia_write(0, SETIPNUM_BE, 0x03000000);
    assert_int_equal(aia_claim(0), 9);
}

static void level_source(void **state)
{
    (void)state;
    open_file(1);
    wire(10, LEVEL, 1, 40);
    line(10, true);
    assert_true(aia_output(1));
    assert_int_equal(aia_read(SETIP), 0); // sent
    assert_int_equal(aia_read(IN_CLRIP), 1u << 10);
    assert_int_equal(aia_claim(1), 40);
    assert_false(aia_output(1));
    aia_write(1, SETIPNUM_LE, 10); // as a driver does at the end: still asserted
    assert_int_equal(aia_claim(1), 40);
    line(10, false);
    aia_write(1, SETIPNUM_LE, 10);
    assert_int_equal(aia_claim(1), 0);
}

static void edge_source(void **state)
{
    (void)state;
    open_file(0);
    wire(11, EDGE, 0, 41);
    line(11, true);
    assert_int_equal(aia_claim(0), 41);
    line(11, false);
    assert_int_equal(aia_claim(0), 0);
    aia_write(0, CLRIENUM, 11);
    line(11, true);
    assert_int_equal(aia_read(SETIP), 1u << 11); // remembered
    aia_write(0, SETIENUM, 11);
    assert_int_equal(aia_claim(0), 41);
    aia_write(0, DOMAINCFG, 0);
    assert_int_equal(aia_read(DOMAINCFG), 0x80000004);
    aia_write(0, SETIPNUM, 11);
    assert_int_equal(aia_claim(0), 0);
    aia_write(0, DOMAINCFG, 0x100);
    assert_int_equal(aia_claim(0), 41);
}

static void inactive_source_has_nothing(void **state)
{
    (void)state;
    aia_write(0, TARGET(5), 1u << 18 | 7);
    aia_write(0, SETIENUM, 5);
    aia_write(0, SETIPNUM, 5);
    assert_int_equal(aia_read(TARGET(5)), 0);
    assert_int_equal(aia_read(SETIE), 0);
    assert_int_equal(aia_read(SETIP), 0);
    aia_write(0, SOURCECFG(5), 0x400 | EDGE); // no children to delegate to
    assert_int_equal(aia_read(SOURCECFG(5)), 0);
    aia_write(0, SOURCECFG(5), 2); // reserved
    assert_int_equal(aia_read(SOURCECFG(5)), 0);
    wire(5, EDGE, 1, 7);
    aia_write(0, TARGET(5), 1u << 18 | 0x3f << 12 | 7); // no guest files
    assert_int_equal(aia_read(TARGET(5)), 1u << 18 | 7);
    aia_write(0, CLRIENUM, 5);
    aia_write(0, SETIPNUM, 5);
    aia_write(0, SOURCECFG(5), 0);
    assert_int_equal(aia_read(SETIP), 0);
    assert_int_equal(aia_read(TARGET(5)), 0);
    line(0, true);
    line(VAIA_SOURCES, true);
    line(UINT32_MAX, true);
    aia_write(0, SETIPNUM, VAIA_SOURCES);
    aia_write(0, SETIENUM, 0xffffffff);
}

static void sweep(void **state)
{
    (void)state;
    for (uint64_t off = 0; off < VAIA_APLIC_SIZE; off++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            struct io_access r = {.size = (uint8_t)size};
            struct io_access w = {.size = (uint8_t)size, .write = true, .value = 0x5a5a5a5a5a5a5a5a ^ off};

            if (off + size <= VAIA_APLIC_SIZE) {
                assert_int_not_equal(aia_access(0, APLIC + off, &r), IO_UNCLAIMED);
                assert_int_not_equal(aia_access((unsigned)off % HARTS, APLIC + off, &w), IO_UNCLAIMED);
            }
        }
    }
    for (uint64_t off = 0; off < HARTS * 0x1000u; off += 1 + off % 3) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            struct io_access w = {.size = (uint8_t)size, .write = true, .value = off};
            enum io_result want = size == 4 && off % 4 == 0 ? IO_DONE : IO_BAD;

            if (off + size <= HARTS * 0x1000u) {
                assert_int_equal(aia_access(0, IMSIC + off, &w), want);
            }
        }
    }
    bench.chip->ops->reset(bench.chip);
    open_file(0);
    wire(10, EDGE, 0, 1);
    line(10, true);
    assert_int_equal(aia_claim(0), 1);
}

static uint32_t seed;

static uint32_t pick(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static uint64_t random_step(void)
{
    unsigned hart = pick(HARTS);
    uint64_t old = 0;

    switch (pick(8)) {
    case 0:
        line(pick(100), pick(2));
        return 0;
    case 1:
        aia_write(hart, FILE_OF(pick(HARTS)), pick(300));
        return 0;
    case 2:
        aia_write(hart, SOURCECFG(1 + pick(95)), pick(8));
        return 0;
    case 3:
        aia_write(hart, TARGET(1 + pick(95)), pick(4) << 18 | pick(256));
        return 0;
    case 4:
        aia_write(hart, pick(2) ? SETIENUM : CLRIENUM, pick(97));
        return aia_read(SETIE + 4 * pick(4));
    case 5:
        aia_write(hart, DOMAINCFG, pick(4) ? 0x100 : 0);
        return aia_read(SETIP + 4 * pick(4));
    case 6:
        return aia_claim(hart);
    default:
        (void)aia_csr(hart, VAIA_SYSREG(VAIA_CSR_SIREG, 0x70 + pick(0x90)), pick(2), pick(1u << 24), &old);
        return old;
    }
}

static void save_restore(void **state)
{
    uint32_t size = bench.chip->ops->save(bench.chip, NULL, 0);
    uint32_t *buf = malloc(size);
    uint64_t first[500];
    uint32_t at;

    assert_non_null(buf);
    for (uint32_t round = 1; round < 20; round++) {
        seed = round;
        for (unsigned i = 0; i < 500; i++) {
            (void)random_step();
        }
        assert_int_equal(bench.chip->ops->save(bench.chip, buf, size), size);
        at = seed;
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
            first[i] = random_step();
        }
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), OK);
        seed = at;
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
            assert_int_equal(random_step(), first[i]);
        }
    }
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size - 8), E_CORRUPT);
    buf[2]++;
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), E_INVAL);
    buf[2]--;
    buf[0]++;
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), E_UNSUPPORTED);
    buf[0]--;
    memset(buf + 4, 0xff, size - 16); // any content of the right shape is survived
    assert_int_equal(bench.chip->ops->restore(bench.chip, buf, size), OK);
    for (unsigned i = 0; i < 5000; i++) {
        (void)random_step();
    }
    free(buf);
}

static void creation(void **state)
{
    struct virqchip *other;

    (void)state;
    assert_int_equal(vaia_create(&bench.vm, APLIC, 0x30000000, &other), E_EXISTS);
    assert_int_equal(vaia_create(&bench.vm, 0x30000000, IMSIC, &other), E_EXISTS);
    assert_int_equal(vaia_create(&bench.vm, 0x30000000, 0x30100000, &other), OK); // nothing was left behind
    other->ops->destroy(other);
    bench.vm.vcpu_count = 0;
    assert_int_equal(vaia_create(&bench.vm, 0x30000000, 0x30100000, &other), E_INVAL);
    bench.vm.vcpu_count = HARTS;
}

// ---- files of the machine ----

// One CPU with one file: who has it, and what is in it.
static struct {
    struct arch_vcpu *owner;
    struct irq_file file;
    bool absent;
} machine;

static bool machine_load(struct arch_vcpu *av, const struct irq_file *in)
{
    assert_null(machine.owner);
    if (machine.absent) {
        return false;
    }
    machine.owner = av;
    machine.file = *in;
    return true;
}

static void machine_save(struct arch_vcpu *av, struct irq_file *out)
{
    assert_ptr_equal(machine.owner, av);
    *out = machine.file;
    machine.owner = NULL;
}

static void machine_post(struct arch_vcpu *av, unsigned id)
{
    assert_ptr_equal(machine.owner, av);
    machine.file.pending[id / 64] |= UINT64_C(1) << id % 64;
}

static bool machine_pending(struct arch_vcpu *av)
{
    assert_ptr_equal(machine.owner, av);
    return machine.file.pending[0] & machine.file.enable[0];
}

static int setup_machine(void **state)
{
    static const struct irq_file_ops ops = {machine_load, machine_save, machine_post, machine_pending};

    memset(&machine, 0, sizeof(machine));
    host_irq_files = &ops;
    return setup(state);
}

static int teardown_machine(void **state)
{
    host_irq_files = NULL;
    return teardown(state);
}

// The state goes in at load and comes out at put; what arrives meanwhile goes to the machine.
static void file_moves(void **state)
{
    const struct virqchip_ops *ops = bench.chip->ops;
    uint64_t old;

    (void)state;
    open_file(1);
    aia_set(1, EITHRESHOLD, 99);
    aia_write(0, FILE_OF(1), 7);
    assert_true(aia_output(1));
    ops->load(bench.chip, 1);
    assert_ptr_equal(machine.owner, &bench.vcpus[1].arch);
    assert_int_equal(machine.file.delivery, 1);
    assert_int_equal(machine.file.threshold, 99);
    assert_int_equal(machine.file.pending[0], UINT64_C(1) << 7);
    ops->flush(bench.chip, 1);
    assert_false(bench.vcpus[1].arch.irq_lines & VCPU_LINE_IRQ); // the machine's file has its own way
    assert_true(ops->pending(bench.chip, 1));
    assert_false(aia_csr(1, VAIA_CSR_STOPEI, true, 0, &old)); // nothing of it traps
    machine.file.pending[0] = 0;                              // the guest claims it
    assert_false(ops->pending(bench.chip, 1));
    aia_write(0, FILE_OF(1), 200);
    assert_int_equal(machine.file.pending[3], UINT64_C(1) << (200 - 192));
    assert_false(bench.notified[1]);
    aia_write(1, FILE_OF(2), 5); // of another vCPU, which is nowhere: in software
    assert_int_equal(machine.file.pending[0], 0);
    ops->put(bench.chip, 1);
    assert_null(machine.owner);
    assert_int_equal(aia_get(1, EIP + 6), UINT64_C(1) << (200 - 192));
    assert_false(aia_output(1)); // held back by the threshold
    assert_int_equal(aia_get(2, EIP), UINT64_C(1) << 5);
}

// What was not taken before the vCPU lost the CPU wakes it.
static void file_put_wakes(void **state)
{
    (void)state;
    open_file(0);
    bench.chip->ops->load(bench.chip, 0);
    aia_write(2, FILE_OF(0), 3);
    assert_false(bench.notified[0]);
    bench.chip->ops->put(bench.chip, 0);
    assert_true(bench.notified[0]);
    assert_true(aia_output(0));
    assert_int_equal(aia_claim(0), 3);
}

static void too_few_files(void **state)
{
    (void)state;
    machine.absent = true;
    open_file(0);
    bench.chip->ops->load(bench.chip, 0);
    aia_write(0, FILE_OF(0), 3);
    assert_true(aia_output(0));
    assert_true(bench.chip->ops->pending(bench.chip, 0));
    assert_int_equal(aia_claim(0), 3);
    bench.chip->ops->put(bench.chip, 0);
    assert_false(bench.chip->ops->pending(bench.chip, 0));
}

#define M(f) cmocka_unit_test_setup_teardown(f, setup_machine, teardown_machine)
int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        M(file_moves),
        M(file_put_wakes),
        M(too_few_files),
        T(messages),
        T(lowest_identity_first),
        T(csr_bits),
        T(threshold_holds_back),
        T(bad_messages),
        T(byte_orders),
        T(level_source),
        T(edge_source),
        T(sweep),
        T(inactive_source_has_nothing),
        T(save_restore),
        T(creation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
