// SPDX-License-Identifier: Apache-2.0
//
// The virtio-blk driver against a device made of plain memory: the test plays the device, through the
// addresses that the driver wrote into the registers. The driver is part of the image only, so it is included
// here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "drivers/block/virtio_blk.c"
#include "drivers/block/virtio_blk_mmio.c"
#include "kernel/mm/page.h"

#define QUEUE_SIZE 32u
#define SECTORS 64u
#define IRQ 79u
#define REQUESTS 40u

static volatile uint32_t *regs; // a page of the machine's memory
#define REGS_SIZE 0x200u
static unsigned char medium[SECTORS * SECTOR_SIZE];
static uint16_t seen;
static uint16_t used;

static struct block_request reqs[REQUESTS];
static char data[REQUESTS][SECTOR_SIZE];
static unsigned finished, failed;

static void *ring_part(size_t low)
{
    return arch_phys_to_virt(hpa(regs[low / 4] | (uint64_t)regs[low / 4 + 1] << 32));
}

static void serve(const struct virtq_desc *desc, uint16_t head)
{
    struct virtio_blk_req_hdr hdr;
    unsigned char *at;
    uint16_t i = head;

    memcpy(&hdr, arch_phys_to_virt(hpa(desc[i].addr)), sizeof(hdr));
    assert_true(hdr.sector < SECTORS);
    at = medium + hdr.sector * SECTOR_SIZE;
    for (i = desc[i].next; desc[i].flags & VIRTQ_DESC_F_NEXT; i = desc[i].next) {
        void *buf = arch_phys_to_virt(hpa(desc[i].addr));

        assert_int_equal(!!(desc[i].flags & VIRTQ_DESC_F_WRITE), hdr.type == VIRTIO_BLK_T_IN);
        memcpy(hdr.type == VIRTIO_BLK_T_IN ? buf : at, hdr.type == VIRTIO_BLK_T_IN ? at : buf, desc[i].len);
        at += desc[i].len;
    }
    assert_int_equal(desc[i].len, 1);
    *(uint8_t *)arch_phys_to_virt(hpa(desc[i].addr)) = VIRTIO_BLK_S_OK;
}

// The device answers up to `max` requests and interrupts.
static unsigned device_work(unsigned max)
{
    struct virtq_desc *desc = ring_part(VIRTIO_MMIO_QUEUE_DESC_LOW);
    struct virtq_avail *avail = ring_part(VIRTIO_MMIO_QUEUE_DRIVER_LOW);
    struct virtq_used *ring = ring_part(VIRTIO_MMIO_QUEUE_DEVICE_LOW);
    unsigned n = 0;

    for (; n < max && seen != avail->idx; n++) {
        uint16_t head = avail->ring[seen++ % QUEUE_SIZE];

        serve(desc, head);
        ring->ring[used++ % QUEUE_SIZE] = (struct virtq_used_elem){.id = head, .len = 1};
    }
    ring->idx = used;
    regs[VIRTIO_MMIO_INTERRUPT_STATUS / 4] = VIRTIO_MMIO_INT_VRING;
    host_irq_raise(IRQ);
    return n;
}

static void on_done(struct block_request *req, enum status result)
{
    (void)req;
    finished++;
    failed += result != OK;
}

static void submit(struct block_device *dev, unsigned i, enum block_op op, uint64_t sector)
{
    reqs[i] = (struct block_request){.op = op,
                                     .sector = sector,
                                     .segments = {{data[i], SECTOR_SIZE}},
                                     .segment_count = 1,
                                     .done = on_done};
    assert_int_equal(dev->submit(dev, &reqs[i]), OK);
}

static struct hw_desc describe(void)
{
    struct hw_desc hw = {
        .name = "virtio", .reg_count = 1, .irqs = {{.irq = IRQ}}, .irq_count = 1, .fw_node = -1};

    hw.regs[0].base = arch_virt_to_phys((const void *)(uintptr_t)regs);
    hw.regs[0].size = REGS_SIZE;
    regs[VIRTIO_MMIO_MAGIC_VALUE / 4] = VIRTIO_MMIO_MAGIC;
    regs[VIRTIO_MMIO_VERSION / 4] = VIRTIO_MMIO_VERSION_2;
    regs[VIRTIO_MMIO_DEVICE_ID / 4] = VIRTIO_ID_BLOCK;
    // Both words of the feature bits read the same: bit 0 of the upper one is VERSION_1.
    regs[VIRTIO_MMIO_DEVICE_FEATURES / 4] = 1 | 1u << VIRTIO_BLK_F_FLUSH;
    regs[VIRTIO_MMIO_QUEUE_NUM_MAX / 4] = QUEUE_SIZE;
    regs[VIRTIO_MMIO_CONFIG / 4] = SECTORS;
    return hw;
}

static void other_and_old_devices_are_refused(void **state)
{
    struct hw_desc hw = describe();

    (void)state;
    regs[VIRTIO_MMIO_DEVICE_ID / 4] = VIRTIO_ID_NET;
    assert_int_equal(virtio_blk_mmio_probe(&hw), E_UNSUPPORTED);
    hw = describe();
    regs[VIRTIO_MMIO_VERSION / 4] = 1;
    assert_int_equal(virtio_blk_mmio_probe(&hw), E_UNSUPPORTED);
    hw = describe();
    regs[VIRTIO_MMIO_DEVICE_FEATURES / 4] = 0;
    assert_int_equal(virtio_blk_mmio_probe(&hw), E_UNSUPPORTED);
    assert_true(regs[VIRTIO_MMIO_STATUS / 4] & VIRTIO_STATUS_FAILED);
    assert_int_equal(block_count(), 0);
}

static void a_device_is_set_up(void **state)
{
    struct hw_desc hw = describe();

    (void)state;
    assert_int_equal(virtio_blk_mmio_probe(&hw), OK);
    regs[VIRTIO_MMIO_QUEUE_NOTIFY / 4] = 77;
    assert_int_equal(regs[VIRTIO_MMIO_STATUS / 4], VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                                       VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
    assert_int_equal(regs[VIRTIO_MMIO_QUEUE_NUM / 4], QUEUE_SIZE);
    assert_int_equal(regs[VIRTIO_MMIO_QUEUE_READY / 4], 1);
    assert_int_equal(block_count(), 1);
    assert_int_equal(block_get(0)->sector_count, SECTORS);
    assert_true(block_get(0)->can_flush);
    assert_false(block_get(0)->read_only);
}

static void data_go_both_ways(void **state)
{
    struct block_device *dev = block_get(0);

    (void)state;
    finished = failed = 0;
    memset(data[0], 0x3c, SECTOR_SIZE);
    submit(dev, 0, BLOCK_WRITE, 5);
    assert_int_equal(regs[VIRTIO_MMIO_QUEUE_NOTIFY / 4], 0);
    assert_int_equal(finished, 0);
    assert_int_equal(device_work(1), 1);
    assert_int_equal(finished, 1);
    assert_int_equal(medium[5 * SECTOR_SIZE], 0x3c);
    submit(dev, 1, BLOCK_READ, 5);
    submit(dev, 2, BLOCK_FLUSH, 0);
    assert_int_equal(device_work(2), 2);
    assert_int_equal(finished, 3);
    assert_int_equal(failed, 0);
    assert_memory_equal(data[1], data[0], SECTOR_SIZE);
    reqs[3] = (struct block_request){
        .op = BLOCK_READ, .sector = SECTORS, .segments = {{data[3], 512}}, .segment_count = 1};
    assert_int_equal(dev->submit(dev, &reqs[3]), E_RANGE);
}

// Three descriptors each: ten fit into the ring, the others wait their turn.
static void more_requests_than_fit_are_queued(void **state)
{
    struct block_device *dev = block_get(0);

    (void)state;
    finished = failed = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        data[i][0] = (char)i;
        submit(dev, i, BLOCK_WRITE, i);
    }
    assert_int_equal(device_work(1000), QUEUE_SIZE / 3);
    assert_int_equal(finished, QUEUE_SIZE / 3);
    while (finished < REQUESTS) {
        assert_in_range(device_work(3), 1, 3);
    }
    assert_int_equal(failed, 0);
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_int_equal(medium[i * SECTOR_SIZE], i);
    }
}

static void a_lying_device_is_put_down(void **state)
{
    struct block_device *dev = block_get(0);
    struct virtq_used *ring = ring_part(VIRTIO_MMIO_QUEUE_DEVICE_LOW);

    (void)state;
    finished = failed = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        submit(dev, i, BLOCK_READ, i);
    }
    ring->ring[used++ % QUEUE_SIZE] = (struct virtq_used_elem){.id = QUEUE_SIZE};
    device_work(0);
    assert_int_equal(finished, REQUESTS);
    assert_int_equal(failed, REQUESTS);
    assert_int_equal(regs[VIRTIO_MMIO_STATUS / 4], 0);
    assert_int_equal(dev->submit(dev, &reqs[0]), E_IO);
    device_work(0);
    assert_int_equal(finished, REQUESTS);
}

int main(void)
{
    regs = page_alloc_zeroed(0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_and_old_devices_are_refused),
        cmocka_unit_test(a_device_is_set_up),
        cmocka_unit_test(data_go_both_ways),
        cmocka_unit_test(more_requests_than_fit_are_queued),
        cmocka_unit_test(a_lying_device_is_put_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
