// SPDX-License-Identifier: Apache-2.0
//
// The PCI scan, capabilities, base address registers and MSI-X, on well-made buses and on those that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/mmu.h"
#include "kernel/mm/page.h"
#include "tests/unit/drivers/pci/fake_pci.h"

#define FLAGS_64 PCI_BAR_TYPE_64

static struct pci_function seen[PCI_FUNCTIONS_MAX];
static unsigned seen_count;
static unsigned stop_at;

static int setup(void **state)
{
    (void)state;
    fake_count = 0;
    fake_sizing_with_decoding = 0;
    seen_count = 0;
    stop_at = UINT32_MAX;
    fake_host.bus_count = PCI_BUSES_MAX;
    return 0;
}

static enum status note(const struct pci_function *fn, void *ctx)
{
    assert_ptr_equal(ctx, &seen_count);
    assert_true(seen_count < PCI_FUNCTIONS_MAX);
    seen[seen_count++] = *fn;
    return seen_count == stop_at ? E_NOMEM : OK;
}

static void scan(unsigned wanted)
{
    assert_int_equal(pci_scan(&fake_host, note, &seen_count), OK);
    assert_int_equal(seen_count, wanted);
}

// ---- the scan ----

static void what_is_found_has_names_and_ids(void **state)
{
    struct fake_function *f;

    (void)state;
    (void)fake_add(0, 0, 0, 0x29C08086);
    f = fake_add(0, 31, 0, 0x29188086);
    f->config[PCI_HEADER_TYPE] = PCI_HEADER_MULTI;
    f = fake_add(0, 31, 2, 0x29228086);
    fake_put(f, PCI_REVISION_ID, 0x01018A02, 4);
    (void)fake_add(0, 5, 3, 0x11112222); // not seen: there is no function 0
    scan(3);
    assert_string_equal(seen[2].name, "pci 00:1f.2");
    assert_string_equal(seen[2].ids[0], "pci:8086:2922");
    assert_string_equal(seen[2].ids[1], "pci:class:0101");
    assert_int_equal(seen[2].class_code, 0x01018A);
}

static void functions_of_one_that_has_no_others_are_not_asked(void **state)
{
    (void)state;
    (void)fake_add(0, 1, 0, 0x00011234);
    (void)fake_add(0, 1, 1, 0x00011234);
    scan(1);
}

static void empty_slots_answer_in_several_ways(void **state)
{
    static const uint32_t nothing[] = {0, 0x0000FFFF, 0xFFFF0000, UINT32_MAX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(nothing); i++) {
        (void)fake_add(0, i, 0, nothing[i]);
    }
    scan(0);
}

static void bridges_are_followed_upwards_only(void **state)
{
    (void)state;
    (void)fake_add_bridge(0, 1, 3);
    (void)fake_add_bridge(0, 2, 3); // a second way to the same bus
    (void)fake_add_bridge(0, 3, 0); // not set up, or a loop
    (void)fake_add_bridge(3, 0, 5);
    (void)fake_add_bridge(5, 0, 3); // a loop
    (void)fake_add_bridge(5, 1, 5);
    (void)fake_add_bridge(5, 2, 255);
    (void)fake_add(3, 1, 0, 0x00011234);
    (void)fake_add(5, 3, 0, 0x00021234);
    (void)fake_add(4, 0, 0, 0x00031234); // no bridge leads there
    (void)fake_add(255, 0, 0, 0x00041234);
    scan(3);
    assert_string_equal(seen[0].name, "pci 03:01.0");
    assert_string_equal(seen[2].name, "pci ff:00.0");
}

static void buses_beyond_the_hosts_are_left_alone(void **state)
{
    (void)state;
    fake_host.bus_count = 2;
    (void)fake_add_bridge(0, 0, 2);
    (void)fake_add_bridge(0, 1, 1);
    (void)fake_add(1, 0, 0, 0x00011234);
    (void)fake_add(2, 0, 0, 0x00011234);
    scan(1);
}

static void other_headers_are_passed_over(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x00011234);

    (void)state;
    f->config[PCI_HEADER_TYPE] = 2; // CardBus
    f = fake_add(0, 1, 0, 0x00011234);
    f->config[PCI_HEADER_TYPE] = 0x7F;
    scan(0);
}

static void a_bus_full_of_functions_is_cut_off(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        for (unsigned n = 0; n < 8; n++) {
            fake_add(0, i, n, 0x00011234)->config[PCI_HEADER_TYPE] = PCI_HEADER_MULTI;
        }
    }
    fake_functions[0].config[PCI_HEADER_TYPE] = PCI_HEADER_MULTI | PCI_HEADER_BRIDGE;
    fake_functions[0].config[PCI_SECONDARY_BUS] = 1;
    for (unsigned i = 0; i < 32; i++) {
        (void)fake_add(1, i, 0, 0x00011234);
    }
    scan(PCI_FUNCTIONS_MAX);
}

static void an_error_ends_the_scan(void **state)
{
    (void)state;
    (void)fake_add(0, 0, 0, 0x00011234);
    (void)fake_add(0, 1, 0, 0x00011234);
    stop_at = 1;
    assert_int_equal(pci_scan(&fake_host, note, &seen_count), E_NOMEM);
    assert_int_equal(seen_count, 1);
}

// ---- capabilities ----

static void capabilities_are_found_in_turn(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x10421AF4);
    struct pci_function fn = fake_handle(f);

    (void)state;
    (void)fake_capability(f, 0x40, PCI_CAP_VENDOR);
    (void)fake_capability(f, 0x60, PCI_CAP_MSIX);
    (void)fake_capability(f, 0x50, PCI_CAP_VENDOR);
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_VENDOR, 0, 16), 0x50);
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_VENDOR, 0x50, 16), 0x40);
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_VENDOR, 0x40, 16), 0);
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_MSIX, 0, 12), 0x60);
    assert_int_equal(pci_find_capability(&fn, 0x10, 0, 2), 0);
    f->config[PCI_STATUS] = 0; // there is no list
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_MSIX, 0, 12), 0);
}

static void broken_lists_end(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x10421AF4);
    struct pci_function fn = fake_handle(f);

    (void)state;
    (void)fake_capability(f, 0x50, 0x05);
    f->config[0x51] = 0x50; // itself
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_MSIX, 0, 12), 0);
    f->config[0x51] = 0x60;
    f->config[0x61] = 0x50; // a circle
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_MSIX, 0, 12), 0);
    f->config[0x51] = 0x04; // into the header
    assert_int_equal(pci_find_capability(&fn, 0x86, 0, 2), 0);
    f->config[0x51] = 0xFF; // the low bits do not count
    f->config[0xFC] = PCI_CAP_MSIX;
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_MSIX, 0, 4), 0xFC);
    assert_int_equal(pci_find_capability(&fn, PCI_CAP_MSIX, 0, 12), 0); // does not fit
}

// ---- base address registers ----

static void registers_are_measured_with_decoding_off(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x10421AF4);
    struct pci_function fn = fake_handle(f);
    struct pci_bar bar;

    (void)state;
    f->config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    fake_bar(f, 0, 0xC040, 64, PCI_BAR_PORT);
    fake_bar(f, 1, 0xFEBD0000, KIB(4), 0);
    fake_bar(f, 2, UINT64_C(0x7C00004000), KIB(16), FLAGS_64 | 8);
    fake_bar(f, 4, UINT64_C(0x200000000), GIB(8), FLAGS_64);
    assert_int_equal(pci_bar_get(&fn, 0, &bar), OK);
    assert_true(bar.port);
    assert_int_equal(bar.base, 0xC040);
    assert_int_equal(bar.size, 64);
    assert_int_equal(pci_bar_get(&fn, 1, &bar), OK);
    assert_false(bar.port);
    assert_int_equal(bar.base, 0xFEBD0000);
    assert_int_equal(bar.size, KIB(4));
    assert_int_equal(pci_bar_get(&fn, 2, &bar), OK);
    assert_int_equal(bar.base, 0x7C00004000);
    assert_int_equal(bar.size, KIB(16));
    assert_int_equal(pci_bar_get(&fn, 3, &bar), E_NOENT); // the upper half
    assert_int_equal(pci_bar_get(&fn, 4, &bar), OK);
    assert_int_equal(bar.base, 0x200000000);
    assert_int_equal(bar.size, GIB(8));
    assert_int_equal(pci_bar_get(&fn, 6, &bar), E_NOENT);
    assert_int_equal(fake_sizing_with_decoding, 0);
    assert_int_equal(f->config[PCI_COMMAND], PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(pci_read(&fn, PCI_BAR_0 + 4, 4), 0xFEBD0000);
}

static void ports_of_sixteen_bits(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x70108086);
    struct pci_function fn = fake_handle(f);
    struct pci_bar bar;

    (void)state;
    fake_bar(f, 4, 0xC000, 16, PCI_BAR_PORT);
    f->bar_writable[4] &= 0xFFFF;
    assert_int_equal(pci_bar_get(&fn, 4, &bar), OK);
    assert_int_equal(bar.size, 16);
}

static void odd_registers_are_refused(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x10421AF4);
    struct pci_function fn = fake_handle(f);
    struct pci_bar bar;

    (void)state;
    assert_int_equal(pci_bar_get(&fn, 0, &bar), E_NOENT); // not there
    fake_bar(f, 0, 0, KIB(4), 0);
    assert_int_equal(pci_bar_get(&fn, 0, &bar), E_UNSUPPORTED); // no address
    fake_bar(f, 1, 0xFE000000, KIB(4), PCI_BAR_TYPE_RESERVED);
    assert_int_equal(pci_bar_get(&fn, 1, &bar), E_CORRUPT);
    fake_put(f, PCI_BAR_0 + 20, 0xFE000000 | FLAGS_64, 4); // whose upper half is no register
    assert_int_equal(pci_bar_get(&fn, 5, &bar), E_CORRUPT);
    fake_bar(f, 2, 0xFE000000, KIB(4), 0);
    f->bar_writable[2] = 0xFF0FF000; // a hole in the mask
    assert_int_equal(pci_bar_get(&fn, 2, &bar), E_CORRUPT);
    fake_bar(f, 3, UINT64_MAX - 0xFFF, KIB(4), FLAGS_64);
    assert_int_equal(pci_bar_get(&fn, 3, &bar), OK); // the last page there is
}

static void only_what_lies_in_a_register_is_mapped(void **state)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x10421AF4);
    struct pci_function fn = fake_handle(f);
    char *page = page_alloc_zeroed(0);

    (void)state;
    fake_bar(f, 0, arch_virt_to_phys(page).v, KIB(4), FLAGS_64);
    fake_bar(f, 2, 0xC000, 256, PCI_BAR_PORT);
    assert_ptr_not_equal(pci_map(&fn, 0, 0xFF0, 16), NULL);
    assert_ptr_equal(pci_map(&fn, 0, 0xFF0, 17), NULL);
    assert_ptr_equal(pci_map(&fn, 0, UINT64_MAX, 2), NULL);
    assert_ptr_equal(pci_map(&fn, 0, 0, 0), NULL);
    assert_ptr_equal(pci_map(&fn, 2, 0, 16), NULL);
    assert_ptr_equal(pci_map(&fn, 7, 0, 16), NULL);
    page_free(page, 0);
}

// ---- MSI-X ----

static enum status give_message(struct irq_msi *out)
{
    *out = (struct irq_msi){.irq = 100, .address = 0xFEE01000, .data = 0xDF};
    return OK;
}

static struct fake_function *with_msix(const uint32_t *table, uint32_t offset)
{
    struct fake_function *f = fake_add(0, 0, 0, 0x10421AF4);
    uint8_t *cap = fake_capability(f, 0x98, PCI_CAP_MSIX);

    fake_bar(f, 1, arch_virt_to_phys(table).v, KIB(4), 0);
    cap[PCI_MSIX_CONTROL] = 1; // two entries
    fake_put(f, 0x98 + PCI_MSIX_TABLE, offset | 1, 4);
    return f;
}

static void the_first_vector_is_set_up(void **state)
{
    struct irqchip_ops chip = *irq_chip();
    const struct irqchip_ops *old = irq_chip();
    uint32_t *table = page_alloc_zeroed(0);
    struct fake_function *f = with_msix(table, 0x40);
    struct pci_function fn = fake_handle(f);
    struct irq_msi msi;

    (void)state;
    chip.msi_alloc = NULL;
    irq_set_chip(&chip);
    assert_int_equal(pci_msix_enable(&fn, &msi), E_UNSUPPORTED); // nobody takes messages
    assert_int_equal(f->config[0x98 + 3], 0);
    chip.msi_alloc = give_message;
    table[0x10 + 3] = table[0x10 + 7] = 1; // both masked
    assert_int_equal(pci_msix_enable(&fn, &msi), OK);
    irq_set_chip(old);
    assert_int_equal(msi.irq, 100);
    assert_int_equal(table[0x10], 0xFEE01000);
    assert_int_equal(table[0x11], 0);
    assert_int_equal(table[0x12], 0xDF);
    assert_int_equal(table[0x13], 0);
    assert_int_equal(table[0x17], 1);
    assert_int_equal(f->config[0x98 + 3], PCI_MSIX_ENABLE >> 8);
    assert_int_equal(f->config[PCI_COMMAND + 1], PCI_COMMAND_NO_INTX >> 8);
    page_free(table, 0);
}

static void a_table_outside_its_register_is_refused(void **state)
{
    uint32_t *table = page_alloc_zeroed(0);
    struct fake_function *f = with_msix(table, 0xFE8); // the second entry is cut off
    struct pci_function fn = fake_handle(f);
    struct irq_msi msi;

    (void)state;
    assert_int_equal(pci_msix_enable(&fn, &msi), E_CORRUPT);
    fake_put(f, 0x98 + PCI_MSIX_TABLE, 7, 4); // no such register
    assert_int_equal(pci_msix_enable(&fn, &msi), E_CORRUPT);
    f->config[0x98] = 0x05;
    assert_int_equal(pci_msix_enable(&fn, &msi), E_UNSUPPORTED);
    page_free(table, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_found_has_names_and_ids, setup),
        cmocka_unit_test_setup(functions_of_one_that_has_no_others_are_not_asked, setup),
        cmocka_unit_test_setup(empty_slots_answer_in_several_ways, setup),
        cmocka_unit_test_setup(bridges_are_followed_upwards_only, setup),
        cmocka_unit_test_setup(buses_beyond_the_hosts_are_left_alone, setup),
        cmocka_unit_test_setup(other_headers_are_passed_over, setup),
        cmocka_unit_test_setup(a_bus_full_of_functions_is_cut_off, setup),
        cmocka_unit_test_setup(an_error_ends_the_scan, setup),
        cmocka_unit_test_setup(capabilities_are_found_in_turn, setup),
        cmocka_unit_test_setup(broken_lists_end, setup),
        cmocka_unit_test_setup(registers_are_measured_with_decoding_off, setup),
        cmocka_unit_test_setup(ports_of_sixteen_bits, setup),
        cmocka_unit_test_setup(odd_registers_are_refused, setup),
        cmocka_unit_test_setup(only_what_lies_in_a_register_is_mapped, setup),
        cmocka_unit_test_setup(the_first_vector_is_set_up, setup),
        cmocka_unit_test_setup(a_table_outside_its_register_is_refused, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
