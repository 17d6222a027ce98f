// SPDX-License-Identifier: Apache-2.0
//
// The walker on every page-table format: a random sequence against a flat model and a TLB that is told what goes, large
// pages, splits, refusals, nothing changed on failure, break-before-make, sinks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/mmu.h"
#include "kernel/mm/aspace.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pt_format.h"

static const struct pt_format *const formats[] = {
    &pt_arm64_stage1,    &pt_arm64_stage2_48, &pt_arm64_stage2_44, &pt_arm64_stage2_42, &pt_arm64_stage2_40,
    &pt_arm64_stage2_36, &pt_riscv_sv39,      &pt_riscv_sv48,      &pt_riscv_sv39x4,    &pt_riscv_sv48x4,
    &pt_x86_host,        &pt_x86_ept,         &pt_x86_npt,
};

static const struct mem_attr rw = {.perm = PERM_R | PERM_W, .type = MEM_NORMAL};
static const struct mem_attr rwx = {.perm = PERM_R | PERM_W | PERM_X, .type = MEM_NORMAL};
static const struct mem_attr ro = {.perm = PERM_R, .type = MEM_NORMAL};

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(64), 1);
    return 0;
}

static uint64_t free_bytes(void)
{
    struct page_stats s;

    page_stats_get(&s);
    return s.free;
}

static void create(struct aspace *as, const struct pt_format *f)
{
    assert_int_equal(aspace_create(as, f), OK);
}

// The address in `as` that `va` translates to, and the page size.
static uint64_t at(struct aspace *as, uint64_t va, uint64_t *size)
{
    struct mem_attr attr;
    hpa_t pa;

    assert_int_equal(aspace_lookup(as, va, &pa, &attr, size), OK);
    return pa.v;
}

static void test_large_pages(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct aspace as;
        uint64_t before = free_bytes();
        uint64_t size;

        create(&as, formats[i]);
        // 2 GiB and a bit, all aligned alike: 1 GiB, 2 MiB and 4 KiB pages.
        assert_int_equal(aspace_map(&as, GIB(1), hpa(GIB(4)), GIB(2) + MIB(4) + KIB(8), rwx), OK);
        assert_int_equal(at(&as, GIB(1) + 5, &size), GIB(4) + 5);
        assert_int_equal(size, GIB(1));
        assert_int_equal(at(&as, GIB(3) + MIB(2), &size), GIB(6) + MIB(2));
        assert_int_equal(size, MIB(2));
        assert_int_equal(at(&as, GIB(3) + MIB(4) + KIB(4), &size), GIB(6) + MIB(4) + KIB(4));
        assert_int_equal(size, KIB(4));
        // Misaligned against each other: small pages only.
        assert_int_equal(aspace_map(&as, GIB(8), hpa(KIB(4)), MIB(2), rw), OK);
        assert_int_equal(at(&as, GIB(8) + MIB(1), &size), MIB(1) + KIB(4));
        assert_int_equal(size, KIB(4));
        aspace_destroy(&as);
        assert_int_equal(free_bytes(), before);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct pt_format *f = formats[i];
        uint64_t top = BIT64(f->va_bits);
        struct mem_attr attr;
        struct aspace as;
        uint64_t size;
        hpa_t pa;

        create(&as, f);
        assert_int_equal(aspace_map(&as, 1, hpa(0), KIB(4), rw), E_INVAL);
        assert_int_equal(aspace_map(&as, 0, hpa(1), KIB(4), rw), E_INVAL);
        assert_int_equal(aspace_map(&as, 0, hpa(0), 0, rw), E_INVAL);
        assert_int_equal(aspace_map(&as, 0, hpa(0), 100, rw), E_INVAL);
        assert_int_equal(aspace_map(&as, top, hpa(0), KIB(4), rw), E_RANGE);
        assert_int_equal(aspace_map(&as, top - KIB(4), hpa(0), KIB(8), rw), E_RANGE);
        assert_int_equal(aspace_map(&as, UINT64_MAX - 4095, hpa(0), KIB(8), rw), E_RANGE);
        assert_int_equal(aspace_map(&as, 0, hpa(BIT64(f->pa_bits)), KIB(4), rw), E_RANGE);
        assert_int_equal(aspace_map(&as, 0, hpa(BIT64(f->pa_bits) - KIB(4)), KIB(8), rw), E_RANGE);
        assert_int_equal(aspace_unmap(&as, top, KIB(4)), E_RANGE);
        assert_int_equal(aspace_lookup(&as, top, &pa, &attr, &size), E_RANGE);
        assert_int_equal(as.table_pages, f->root_pages);
        // The very last page works.
        assert_int_equal(aspace_map(&as, top - KIB(4), hpa(KIB(4)), KIB(4), rw), OK);
        assert_int_equal(at(&as, top - 1, &size), KIB(8) - 1);
        // Overlaps, from every side.
        assert_int_equal(aspace_map(&as, MIB(4), hpa(0), MIB(2), rw), OK);
        assert_int_equal(aspace_map(&as, MIB(4), hpa(0), KIB(4), rw), E_EXISTS);
        assert_int_equal(aspace_map(&as, MIB(2), hpa(0), MIB(2) + KIB(4), rw), E_EXISTS);
        assert_int_equal(aspace_map(&as, 0, hpa(0), GIB(1), rw), E_EXISTS);
        assert_int_equal(aspace_lookup(&as, MIB(2), &pa, &attr, &size), E_NOENT);
        aspace_destroy(&as);
    }
}

static void test_split_on_unmap_and_protect(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct mem_attr attr;
        struct aspace as;
        uint64_t size;
        hpa_t pa;

        create(&as, formats[i]);
        assert_int_equal(aspace_map(&as, GIB(1), hpa(GIB(2)), GIB(1), rwx), OK);
        assert_int_equal(aspace_unmap(&as, GIB(1) + MIB(6) + KIB(4), KIB(4)), OK);
        assert_int_equal(aspace_lookup(&as, GIB(1) + MIB(6) + KIB(4), &pa, &attr, &size), E_NOENT);
        assert_int_equal(at(&as, GIB(1) + MIB(6), &size), GIB(2) + MIB(6));
        assert_int_equal(size, KIB(4));
        assert_int_equal(at(&as, GIB(1) + MIB(8), &size), GIB(2) + MIB(8));
        assert_int_equal(size, MIB(2));
        assert_int_equal(at(&as, GIB(2) - 1, &size), GIB(3) - 1);
        assert_int_equal(aspace_protect(&as, GIB(1) + MIB(32) + KIB(8), MIB(4), ro), OK);
        assert_int_equal(aspace_lookup(&as, GIB(1) + MIB(34), &pa, &attr, &size), OK);
        assert_int_equal(attr.perm, PERM_R);
        assert_int_equal(size, MIB(2));
        assert_int_equal(aspace_lookup(&as, GIB(1) + MIB(32), &pa, &attr, &size), OK);
        assert_int_equal(attr.perm, rwx.perm);
        assert_int_equal(aspace_lookup(&as, GIB(1) + MIB(36) + KIB(4), &pa, &attr, &size), OK);
        assert_int_equal(attr.perm, PERM_R);
        assert_int_equal(pa.v, GIB(2) + MIB(36) + KIB(4));
        // Unmapping all of it gives all tables back.
        assert_int_equal(aspace_unmap(&as, GIB(1), GIB(1)), OK);
        assert_int_equal(as.table_pages, formats[i]->root_pages);
        aspace_destroy(&as);
    }
}

static void test_attributes_survive(void **state)
{
    static const uint8_t perms[] = {PERM_R, PERM_R | PERM_W, PERM_R | PERM_X, PERM_R | PERM_W | PERM_X};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        for (unsigned p = 0; p < ARRAY_SIZE(perms); p++) {
            for (uint8_t type = MEM_NORMAL; type <= MEM_DEVICE; type++) {
                const struct mem_attr want = {.perm = perms[p], .type = type};
                bool has_type = strncmp(formats[i]->name, "sv", 2) != 0;
                uint64_t e = formats[i]->leaf(hpa(MIB(2)), want, formats[i]->levels - 2);

                assert_true(formats[i]->is_valid(e));
                assert_true(formats[i]->is_leaf(e, formats[i]->levels - 2));
                assert_int_equal(formats[i]->pa(e).v, MIB(2));
                assert_int_equal(formats[i]->attr(e).perm, want.perm);
                assert_true(!has_type || formats[i]->attr(e).type == type);
                assert_false(formats[i]->is_leaf(formats[i]->table(hpa(MIB(2))), 0));
                assert_false(formats[i]->is_valid(0));
            }
        }
    }
}

// The values that the manuals give, so that a format cannot be wrong in both directions.
static void test_known_encodings(void **state)
{
    const struct mem_attr device = {.perm = PERM_R | PERM_W, .type = MEM_DEVICE};

    (void)state;
    assert_int_equal(pt_arm64_stage1.leaf(hpa(0x40000000), rw, 2), 0x0040000040000741);
    assert_int_equal(pt_arm64_stage1.leaf(hpa(0x9000000), device, 3), 0x0040000009000747);
    assert_int_equal(pt_arm64_stage2_40.leaf(hpa(0x40000000), rwx, 1), 0x400007FD);
    assert_int_equal(pt_arm64_stage2_40.leaf(hpa(0x40001000), rwx, 2), 0x400017FF);
    assert_int_equal(pt_arm64_stage2_48.leaf(hpa(0x8000000), device, 3), 0x00400000080007C7);
    assert_int_equal(pt_arm64_stage1.table(hpa(0x1000)), 0x1003);
    assert_int_equal(pt_riscv_sv48.leaf(hpa(0x80000000), rwx, 2), 0x200000EF);
    assert_int_equal(pt_riscv_sv48x4.leaf(hpa(0x80000000), ro, 2), 0x200000D3);
    assert_int_equal(pt_x86_host.leaf(hpa(0x200000), rw, 2), 0x80000000002000E3);
    assert_int_equal(pt_x86_ept.leaf(hpa(0x200000), rwx, 2), 0x2000B7);
    assert_int_equal(pt_x86_npt.leaf(hpa(0x1000), rwx, 3), 0x1067);
}

// ---- failure in the middle ----------------------------------------------------------------------------------------------

// Leaves exactly `pages` free pages; returns the list of what was taken.
static void *starve(unsigned pages)
{
    void *keep[16];
    void *list = NULL;
    void *p;

    for (unsigned i = 0; i < pages; i++) {
        keep[i] = page_alloc(0);
    }
    while ((p = page_alloc(0)) != NULL) {
        *(void **)p = list;
        list = p;
    }
    for (unsigned i = 0; i < pages; i++) {
        page_free(keep[i], 0);
    }
    return list;
}

static void feed(void *list)
{
    while (list != NULL) {
        void *next = *(void **)list;

        page_free(list, 0);
        list = next;
    }
}

static void test_nothing_changes_without_memory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct pt_format *f = formats[i];
        unsigned need = f->levels - 1; // tables for one 4 KiB page

        for (unsigned have = 0; have <= need; have++) {
            struct mem_attr attr;
            struct aspace as;
            uint64_t size;
            void *taken;
            hpa_t pa;

            host_boot(MIB(8), 1);
            create(&as, f);
            taken = starve(have);
            assert_int_equal(aspace_map(&as, KIB(4), hpa(KIB(4)), KIB(4), rw), have < need ? E_NOMEM : OK);
            assert_int_equal(aspace_lookup(&as, KIB(4), &pa, &attr, &size), have < need ? E_NOENT : OK);
            assert_int_equal(free_bytes(), have < need ? have * KIB(4) : 0);
            assert_int_equal(as.table_pages, f->root_pages + (have < need ? 0 : need));
            feed(taken);
        }
        for (unsigned have = 0; have <= 2; have++) {
            struct mem_attr attr;
            struct aspace as;
            uint64_t size;
            void *taken;
            hpa_t pa;

            host_boot(MIB(8), 1);
            create(&as, f);
            // A 1 GiB page splits twice for one 4 KiB page.
            assert_int_equal(aspace_map(&as, 0, hpa(0), GIB(1), rw), OK);
            taken = starve(have);
            assert_int_equal(aspace_protect(&as, KIB(4), KIB(4), ro), have < 2 ? E_NOMEM : OK);
            assert_int_equal(aspace_lookup(&as, KIB(4), &pa, &attr, &size), OK);
            assert_int_equal(size, have < 2 ? GIB(1) : KIB(4));
            assert_int_equal(attr.perm, have < 2 ? rw.perm : ro.perm);
            feed(taken);
        }
    }
}

// ---- sinks --------------------------------------------------------------------------------------------------------------

static struct aspace sink_as;
static uint64_t told_base, told_size;
static unsigned told, told_invalid;
static uint64_t *watched;

static void on_invalidate(struct tlb_sink *sink, uint64_t base, uint64_t size)
{
    (void)sink;
    told_base = base;
    told_size = size;
    told++;
    if (watched != NULL && *watched == 0) {
        told_invalid++;
    }
}

static void test_sinks_and_break_before_make(void **state)
{
    struct tlb_sink sink = {.invalidate = on_invalidate};
    uint64_t *l0, *l1;

    (void)state;
    told = told_invalid = 0;
    create(&sink_as, &pt_arm64_stage1);
    aspace_add_sink(&sink_as, &sink);
    assert_int_equal(aspace_map(&sink_as, 0, hpa(GIB(1)), GIB(1), rw), OK);
    assert_int_equal(told, 0);
    l0 = arch_phys_to_virt(sink_as.root);
    l1 = arch_phys_to_virt(pt_arm64_stage1.pa(l0[0]));
    watched = &l1[0];
    // The split goes through an invalid entry that the sink hears about.
    assert_int_equal(aspace_protect(&sink_as, MIB(2), MIB(2), ro), OK);
    assert_int_equal(told, 2);
    assert_int_equal(told_invalid, 1);
    assert_int_equal(told_base, MIB(2));
    assert_int_equal(told_size, MIB(2));
    watched = NULL;
    assert_int_equal(aspace_unmap(&sink_as, MIB(4), MIB(4)), OK);
    assert_int_equal(told, 3);
    assert_int_equal(told_base, MIB(4));
    assert_int_equal(told_size, MIB(4));
    aspace_destroy(&sink_as);
}

// ---- against a model ------------------------------------------------------------------------------------------------------

#define MODEL_PAGES 2048u // 8 MiB

struct model {
    uint64_t pa[MODEL_PAGES]; // 0: unmapped
    uint8_t perm[MODEL_PAGES];
};

static void model_compare(struct aspace *as, const struct model *m, uint64_t base)
{
    for (unsigned p = 0; p < MODEL_PAGES; p++) {
        struct mem_attr attr;
        uint64_t size;
        hpa_t pa;
        enum status s = aspace_lookup(as, base + p * KIB(4), &pa, &attr, &size);

        assert_int_equal(s, m->pa[p] == 0 ? E_NOENT : OK);
        if (s == OK) {
            assert_int_equal(pa.v, m->pa[p]);
            assert_int_equal(attr.perm, m->perm[p]);
        }
    }
}

static void model_step(struct aspace *as, struct model *m, uint64_t base)
{
    unsigned first = (unsigned)rand() % MODEL_PAGES;
    unsigned count = 1 + (unsigned)rand() % (rand() % 4 == 0 ? 1500 : 40);
    unsigned op = (unsigned)rand() % 3;
    uint64_t pa = GIB(1) + (rand() % 2 ? first * KIB(4) : (unsigned)rand() % 512 * KIB(4));
    bool busy = false;
    enum status s;

    if (rand() % 3 == 0) {
        first &= ~511u;
        count = 512;
        pa = align_down(pa, MIB(2));
    }
    count = count < MODEL_PAGES - first ? count : MODEL_PAGES - first;
    for (unsigned p = first; p < first + count; p++) {
        busy |= m->pa[p] != 0;
    }
    if (op == 0) {
        s = aspace_map(as, base + first * KIB(4), hpa(pa), count * KIB(4), rw);
        assert_int_equal(s, busy ? E_EXISTS : OK);
    } else if (op == 1) {
        assert_int_equal(aspace_unmap(as, base + first * KIB(4), count * KIB(4)), OK);
    } else {
        assert_int_equal(aspace_protect(as, base + first * KIB(4), count * KIB(4), ro), OK);
    }
    for (unsigned p = first; p < first + count; p++) {
        if (op == 0 && !busy) {
            m->pa[p] = pa + (p - first) * KIB(4);
            m->perm[p] = rw.perm;
        } else if (op == 1) {
            m->pa[p] = 0;
        } else if (op == 2 && m->pa[p] != 0) {
            m->perm[p] = ro.perm;
        }
    }
}

// Somebody who keeps translations until told: what is left after an operation must still be true, of every page in it, and
// no table may have been freed before that.
#define TLB_ENTRIES 128u

static struct {
    struct tlb_sink sink;
    uint64_t free_before;
    struct {
        uint64_t base, size, pa; // size 0: empty
        uint8_t perm;
    } entries[TLB_ENTRIES];
} tlb;

static void tlb_drop(struct tlb_sink *sink, uint64_t base, uint64_t size)
{
    (void)sink;
    assert_true(free_bytes() <= tlb.free_before);
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        if (tlb.entries[i].base < base + size && base < tlb.entries[i].base + tlb.entries[i].size) {
            tlb.entries[i].size = 0;
        }
    }
}

static void tlb_fill(struct aspace *as, uint64_t base)
{
    tlb.free_before = free_bytes();
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        uint64_t va = base + (unsigned)rand() % MODEL_PAGES * KIB(4);
        struct mem_attr attr;
        uint64_t size;
        hpa_t pa;

        if (aspace_lookup(as, va, &pa, &attr, &size) == OK) {
            tlb.entries[i].base = align_down(va, size);
            tlb.entries[i].size = size;
            tlb.entries[i].pa = pa.v - (va - align_down(va, size));
            tlb.entries[i].perm = attr.perm;
        }
    }
}

static void tlb_check(struct aspace *as)
{
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        uint64_t step = tlb.entries[i].size > KIB(4) ? align_down(tlb.entries[i].size / 16, KIB(4)) : KIB(4);

        for (uint64_t off = 0; off < tlb.entries[i].size; off += step) {
            struct mem_attr attr;
            uint64_t size;
            hpa_t pa;

            assert_int_equal(aspace_lookup(as, tlb.entries[i].base + off, &pa, &attr, &size), OK);
            assert_int_equal(pa.v, tlb.entries[i].pa + off);
            assert_int_equal(attr.perm, tlb.entries[i].perm);
        }
    }
}

static void test_random_against_model(void **state)
{
    static struct model m;

    (void)state;
    srand(7);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        uint64_t before = free_bytes();
        // Across a 1 GiB boundary.
        uint64_t base = GIB(3) - MIB(4);
        struct aspace as;

        memset(&m, 0, sizeof(m));
        memset(&tlb, 0, sizeof(tlb));
        tlb.sink.invalidate = tlb_drop;
        create(&as, formats[i]);
        aspace_add_sink(&as, &tlb.sink);
        for (unsigned step = 0; step < 300; step++) {
            tlb_fill(&as, base);
            model_step(&as, &m, base);
            tlb_check(&as);
            if (step % 10 == 0) {
                model_compare(&as, &m, base);
            }
        }
        model_compare(&as, &m, base);
        tlb_fill(&as, base);
        aspace_destroy(&as);
        assert_int_equal(free_bytes(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_large_pages, setup),
        cmocka_unit_test_setup(test_refusals, setup),
        cmocka_unit_test_setup(test_split_on_unmap_and_protect, setup),
        cmocka_unit_test_setup(test_attributes_survive, setup),
        cmocka_unit_test_setup(test_known_encodings, setup),
        cmocka_unit_test_setup(test_nothing_changes_without_memory, setup),
        cmocka_unit_test_setup(test_sinks_and_break_before_make, setup),
        cmocka_unit_test_setup(test_random_against_model, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
