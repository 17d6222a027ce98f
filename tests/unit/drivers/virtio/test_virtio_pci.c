// SPDX-License-Identifier: Apache-2.0
//
// virtio over PCI: its capabilities, made well and badly, and the block driver on a device of plain memory that is polled.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/mmu.h"
#include "drivers/block/virtio_blk.c"
#include "drivers/block/virtio_blk_pci.c"
#include "kernel/mm/page.h"
#include "tests/unit/drivers/pci/fake_pci.h"

#define QUEUE_SIZE 16u
#define SECTORS 64u

// Where the structures lie in base address register 4.
#define COMMON 0x000u
#define ISR 0x100u
#define DEVICE 0x200u
#define NOTIFY 0x300u
#define MULTIPLIER 4u
#define BAR_SIZE KIB(4)

// "VIRTIO Version 1.2", 4.1.4.3.
enum {
    COMMON_FEATURE = 4,
    COMMON_STATUS = 20,
    COMMON_QUEUE_SIZE = 24,
    COMMON_ENABLE = 28,
    COMMON_NOTIFY_OFF = 30,
    COMMON_DESC = 32,
    COMMON_DRIVER = 40,
    COMMON_DEVICE = 48
};

static uint8_t *regs; // a page: the register's contents
static struct fake_function *device;
static struct pci_function fn;

static void put(unsigned off, uint64_t v, unsigned size)
{
    memcpy(regs + off, &v, size);
}

static uint64_t get(unsigned off, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, regs + off, size);
    return v;
}

static void part(uint8_t at, uint8_t type, uint32_t offset, uint32_t length)
{
    uint8_t *cap = fake_capability(device, at, PCI_CAP_VENDOR);

    cap[2] = 16;
    cap[3] = type;
    cap[4] = 4;
    memcpy(cap + 8, &offset, 4);
    memcpy(cap + 12, &length, 4);
    if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
        cap[2] = 20;
        cap[16] = MULTIPLIER;
    }
}

static int setup(void **state)
{
    (void)state;
    fake_count = 0;
    device = fake_add(0, 1, 0, 0x10421AF4);
    fake_bar(device, 4, arch_virt_to_phys(regs).v, BAR_SIZE, PCI_BAR_TYPE_64);
    part(0x40, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY, 16);
    part(0x60, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE, 60);
    part(0x74, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1);
    part(0x84, VIRTIO_PCI_CAP_COMMON_CFG, COMMON, 56);
    fn = fake_handle(device);
    memset(regs, 0, BAR_SIZE);
    // Both words of the feature bits read the same: bit 0 of the upper one is VERSION_1.
    put(COMMON_FEATURE, 1 | 1u << VIRTIO_BLK_F_FLUSH, 4);
    put(COMMON_QUEUE_SIZE, QUEUE_SIZE, 2);
    put(COMMON_NOTIFY_OFF, 3, 2);
    put(DEVICE, SECTORS, 8);
    return 0;
}

static enum status open_it(void)
{
    struct hw_desc hw = {.name = "pci fake", .fw_node = -1, .pci = &fn};
    struct virtio_dev dev;

    return virtio_pci_open(&hw, VIRTIO_ID_BLOCK, &dev);
}

// ---- capabilities ----

static void structures_are_found(void **state)
{
    struct virtio_pci_part p;

    (void)state;
    assert_true(virtio_pci_find(&fn, VIRTIO_PCI_CAP_NOTIFY_CFG, &p));
    assert_int_equal(p.cap, 0x40);
    assert_int_equal(p.bar, 4);
    assert_int_equal(p.offset, NOTIFY);
    assert_int_equal(p.length, 16);
    assert_int_equal(open_it(), OK);
    assert_int_equal(get(COMMON_STATUS, 1), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    assert_int_equal(device->config[PCI_COMMAND], PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void the_first_usable_of_several_is_taken(void **state)
{
    struct virtio_pci_part p;

    (void)state;
    part(0xB0, VIRTIO_PCI_CAP_COMMON_CFG, 0x800, 64);
    part(0xA0, VIRTIO_PCI_CAP_COMMON_CFG, 0x800, 64);
    device->config[0xA4] = 6; // a reserved register
    assert_true(virtio_pci_find(&fn, VIRTIO_PCI_CAP_COMMON_CFG, &p));
    assert_int_equal(p.cap, 0xB0);
}

static void a_list_without_end_is_left(void **state)
{
    struct virtio_pci_part p;

    (void)state;
    device->config[0x41] = 0x84; // the last one points to the first
    assert_true(virtio_pci_find(&fn, VIRTIO_PCI_CAP_NOTIFY_CFG, &p));
    device->config[0x43] = 9;
    assert_false(virtio_pci_find(&fn, VIRTIO_PCI_CAP_NOTIFY_CFG, &p));
}

static void damage_is_refused(void **state)
{
    static const struct damage {
        unsigned off;
        uint32_t value;
        enum status wanted;
    } cases[] = {
        {0x84 + 12, 55, E_CORRUPT},            // common configuration: too short
        {0x84 + 8, BAR_SIZE - 52, E_CORRUPT},  // does not fit
        {0x84 + 8, UINT32_MAX - 3, E_CORRUPT}, // far away
        {0x84 + 8, 2, E_CORRUPT},              // odd
        {0x74 + 12, 0, E_CORRUPT},             // no ISR
        {0x60 + 12, 3, E_CORRUPT},             // no configuration to speak of
        {0x40 + 12, 1, E_CORRUPT},             // nothing to notify
        {PCI_CAPABILITIES, 0, E_UNSUPPORTED},  // no list: the legacy interface
        {PCI_VENDOR_ID, 0x10421AF4, OK},       // nothing wrong
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)setup(NULL);
        fake_put(device, cases[i].off, cases[i].value, 4);
        assert_int_equal(open_it(), cases[i].wanted);
    }
    (void)setup(NULL);
    fake_bar(device, 4, 0, BAR_SIZE, PCI_BAR_TYPE_64); // no address from the firmware
    assert_int_equal(open_it(), E_CORRUPT);
}

static void other_kinds_are_left_alone(void **state)
{
    (void)state;
    fn.device = 0x1041;
    assert_int_equal(open_it(), E_UNSUPPORTED);
    fn.device = 0x1001; // transitional: the subsystem says what it is
    assert_int_equal(open_it(), E_UNSUPPORTED);
    fake_put(device, PCI_SUBSYSTEM_ID, VIRTIO_ID_BLOCK, 2);
    assert_int_equal(open_it(), OK);
    fn.vendor = 0x1234;
    assert_int_equal(open_it(), E_UNSUPPORTED);
}

// ---- the block driver ----

static unsigned finished, failed;

static void on_done(struct block_request *req, enum status result)
{
    (void)req;
    finished++;
    failed += result != OK;
}

static enum status probe(void)
{
    struct hw_desc hw = {.name = "pci fake", .fw_node = -1, .pci = &fn};

    return virtio_blk_pci_probe(&hw);
}

static void a_doorbell_outside_is_refused(void **state)
{
    (void)state;
    put(COMMON_NOTIFY_OFF, 4, 2); // 4 * 4: one beyond
    assert_int_equal(probe(), E_CORRUPT);
    assert_true(get(COMMON_STATUS, 1) & VIRTIO_STATUS_FAILED);
    (void)setup(NULL);
    put(COMMON_NOTIFY_OFF, 0xFFFF, 2);
    device->config[0x40 + 19] = 0xFF;
    assert_int_equal(probe(), E_CORRUPT);
    (void)setup(NULL);
    put(COMMON_QUEUE_SIZE, 0, 2);
    assert_int_equal(probe(), E_NOENT);
    assert_int_equal(block_count(), 0);
}

// The device takes what is in the queue; nobody is interrupted.
static void device_work(uint16_t count)
{
    struct virtq_desc *desc = arch_phys_to_virt(hpa(get(COMMON_DESC, 8)));
    struct virtq_avail *avail = arch_phys_to_virt(hpa(get(COMMON_DRIVER, 8)));
    struct virtq_used *used = arch_phys_to_virt(hpa(get(COMMON_DEVICE, 8)));

    for (uint16_t i = 0; i < count; i++) {
        uint16_t head = avail->ring[(uint16_t)(used->idx % QUEUE_SIZE)];
        uint16_t at = head;

        while (desc[at].flags & VIRTQ_DESC_F_NEXT) {
            at = desc[at].next;
        }
        *(uint8_t *)arch_phys_to_virt(hpa(desc[at].addr)) = VIRTIO_BLK_S_OK;
        used->ring[used->idx % QUEUE_SIZE] = (struct virtq_used_elem){.id = head, .len = 1};
        used->idx++;
    }
}

static void a_device_without_interrupt_is_polled(void **state)
{
    static char data[SECTOR_SIZE];
    static struct block_request req = {
        .op = BLOCK_WRITE, .segments = {{data, SECTOR_SIZE}}, .segment_count = 1};
    struct block_device *dev;

    (void)state;
    assert_int_equal(probe(), OK);
    assert_int_equal(block_count(), 1);
    dev = block_get(0);
    assert_int_equal(dev->sector_count, SECTORS);
    assert_true(dev->can_flush);
    assert_int_equal(get(COMMON_ENABLE, 2), 1);
    put(NOTIFY + 3 * MULTIPLIER, 0x7777, 2);
    req.done = on_done;
    assert_int_equal(dev->submit(dev, &req), OK);
    assert_int_equal(get(NOTIFY + 3 * MULTIPLIER, 2), 0);
    host_time_advance(time_from_ms(50));
    assert_int_equal(finished, 0);
    device_work(1);
    host_time_advance(time_from_ms(2));
    assert_int_equal(finished, 1);
    assert_int_equal(failed, 0);
    // Nothing in flight: it looks less often, but does not forget.
    host_time_advance(time_from_ms(100));
    assert_int_equal(dev->submit(dev, &req), OK);
    device_work(1);
    host_time_advance(time_from_ms(11));
    assert_int_equal(finished, 2);
}

int main(void)
{
    regs = page_alloc_zeroed(0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(structures_are_found, setup),
        cmocka_unit_test_setup(the_first_usable_of_several_is_taken, setup),
        cmocka_unit_test_setup(a_list_without_end_is_left, setup),
        cmocka_unit_test_setup(damage_is_refused, setup),
        cmocka_unit_test_setup(other_kinds_are_left_alone, setup),
        cmocka_unit_test_setup(a_doorbell_outside_is_refused, setup),
        cmocka_unit_test_setup(a_device_without_interrupt_is_polled, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
