// SPDX-License-Identifier: Apache-2.0
//
// What both sides of virtio agree on: the split virtqueue's layout, status and feature bits, the MMIO
// transport's registers and the block device's structures. Names are those of "Virtual I/O Device (VIRTIO)
// Version 1.2" (OASIS); the section stands at each part. Everything is little-endian, and so are all machines
// Lodge runs on.
//
// Shared by the host's drivers (drivers/virtio, drivers/block) and the virtual devices (vmm/virtio). Layout
// only: no code, no pointers. The device side never lays these structures over guest memory; it copies and
// then checks.
#pragma once

#include "kernel/lib/types.h"

// 5 Device Types.
#define VIRTIO_ID_NET 1u
#define VIRTIO_ID_BLOCK 2u
#define VIRTIO_ID_CONSOLE 3u
#define VIRTIO_ID_ENTROPY 4u

// 2.1 Device Status Field.
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_DEVICE_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

// 6 Reserved Feature Bits: bit numbers in the 64-bit feature word.
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35
#define VIRTIO_F_ORDER_PLATFORM 36
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_RING_RESET 40

// 2.7 Split Virtqueues. A queue's size is a power of two, at most 32768.
#define VIRTQ_SIZE_MAX 32768u

// 2.7.5 The Virtqueue Descriptor Table: 16-byte aligned array of `size` entries.
#define VIRTQ_DESC_F_NEXT 1u
#define VIRTQ_DESC_F_WRITE 2u
#define VIRTQ_DESC_F_INDIRECT 4u
#define VIRTQ_DESC_ALIGN 16u

struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");

// 2.7.6 The Virtqueue Available Ring: flags, idx, ring[size], used_event; 2-byte aligned.
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1u
#define VIRTQ_AVAIL_ALIGN 2u
#define VIRTQ_AVAIL_FLAGS 0u
#define VIRTQ_AVAIL_IDX 2u
#define VIRTQ_AVAIL_RING(i) (4u + 2u * (uint32_t)(i))
#define VIRTQ_AVAIL_USED_EVENT(size) VIRTQ_AVAIL_RING(size)
#define VIRTQ_AVAIL_SIZE(size) (6u + 2u * (uint32_t)(size))

struct virtq_avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[]; // then used_event
};

// 2.7.8 The Virtqueue Used Ring: flags, idx, ring[size], avail_event; 4-byte aligned.
#define VIRTQ_USED_F_NO_NOTIFY 1u
#define VIRTQ_USED_ALIGN 4u
#define VIRTQ_USED_FLAGS 0u
#define VIRTQ_USED_IDX 2u
#define VIRTQ_USED_RING(i) (4u + 8u * (uint32_t)(i))
#define VIRTQ_USED_AVAIL_EVENT(size) VIRTQ_USED_RING(size)
#define VIRTQ_USED_SIZE(size) (6u + 8u * (uint32_t)(size))

struct virtq_used_elem {
    uint32_t id;  // head of the descriptor chain
    uint32_t len; // bytes the device wrote
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "2.7.8");

struct virtq_used {
    uint16_t flags;
    uint16_t idx;
    struct virtq_used_elem ring[]; // then avail_event
};

// 2.7.10: must the other side be told, when `event` is its event index and the index moved from `old_idx` to
// `new_idx`?
static inline bool vring_need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
    return (uint16_t)(new_idx - event - 1u) < (uint16_t)(new_idx - old_idx);
}

// 4.2.2 MMIO Device Register Layout (version 2).
#define VIRTIO_MMIO_MAGIC_VALUE 0x000u
#define VIRTIO_MMIO_VERSION 0x004u
#define VIRTIO_MMIO_DEVICE_ID 0x008u
#define VIRTIO_MMIO_VENDOR_ID 0x00cu
#define VIRTIO_MMIO_DEVICE_FEATURES 0x010u
#define VIRTIO_MMIO_DEVICE_FEATURES_SEL 0x014u
#define VIRTIO_MMIO_DRIVER_FEATURES 0x020u
#define VIRTIO_MMIO_DRIVER_FEATURES_SEL 0x024u
#define VIRTIO_MMIO_QUEUE_SEL 0x030u
#define VIRTIO_MMIO_QUEUE_NUM_MAX 0x034u // QueueSizeMax
#define VIRTIO_MMIO_QUEUE_NUM 0x038u     // QueueSize
#define VIRTIO_MMIO_QUEUE_READY 0x044u
#define VIRTIO_MMIO_QUEUE_NOTIFY 0x050u
#define VIRTIO_MMIO_INTERRUPT_STATUS 0x060u
#define VIRTIO_MMIO_INTERRUPT_ACK 0x064u
#define VIRTIO_MMIO_STATUS 0x070u
#define VIRTIO_MMIO_QUEUE_DESC_LOW 0x080u
#define VIRTIO_MMIO_QUEUE_DESC_HIGH 0x084u
#define VIRTIO_MMIO_QUEUE_DRIVER_LOW 0x090u
#define VIRTIO_MMIO_QUEUE_DRIVER_HIGH 0x094u
#define VIRTIO_MMIO_QUEUE_DEVICE_LOW 0x0a0u
#define VIRTIO_MMIO_QUEUE_DEVICE_HIGH 0x0a4u
#define VIRTIO_MMIO_SHM_SEL 0x0acu
#define VIRTIO_MMIO_SHM_LEN_LOW 0x0b0u
#define VIRTIO_MMIO_SHM_LEN_HIGH 0x0b4u
#define VIRTIO_MMIO_SHM_BASE_LOW 0x0b8u
#define VIRTIO_MMIO_SHM_BASE_HIGH 0x0bcu
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0u
#define VIRTIO_MMIO_CONFIG_GENERATION 0x0fcu
#define VIRTIO_MMIO_CONFIG 0x100u

#define VIRTIO_MMIO_MAGIC 0x74726976u // "virt"
#define VIRTIO_MMIO_VERSION_2 2u

// InterruptStatus and InterruptACK.
#define VIRTIO_MMIO_INT_VRING 1u  // used buffer notification
#define VIRTIO_MMIO_INT_CONFIG 2u // configuration change notification

// 5.2 Block Device. Feature bit numbers.
#define VIRTIO_BLK_F_SIZE_MAX 1
#define VIRTIO_BLK_F_SEG_MAX 2
#define VIRTIO_BLK_F_GEOMETRY 4
#define VIRTIO_BLK_F_RO 5
#define VIRTIO_BLK_F_BLK_SIZE 6
#define VIRTIO_BLK_F_FLUSH 9
#define VIRTIO_BLK_F_TOPOLOGY 10
#define VIRTIO_BLK_F_CONFIG_WCE 11
#define VIRTIO_BLK_F_MQ 12
#define VIRTIO_BLK_F_DISCARD 13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

// 5.2.4 Device configuration layout.
struct virtio_blk_config {
    uint64_t capacity; // 512-byte sectors
    uint32_t size_max;
    uint32_t seg_max;
    struct {
        uint16_t cylinders;
        uint8_t heads;
        uint8_t sectors;
    } geometry;
    uint32_t blk_size;
    struct {
        uint8_t physical_block_exp;
        uint8_t alignment_offset;
        uint16_t min_io_size;
        uint32_t opt_io_size;
    } topology;
    uint8_t writeback;
    uint8_t unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors;
    uint32_t max_discard_seg;
    uint32_t discard_sector_alignment;
    uint32_t max_write_zeroes_sectors;
    uint32_t max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
};
_Static_assert(offsetof(struct virtio_blk_config, max_discard_sectors) == 36, "5.2.4");

// 5.2.6 Device Operation: this header, the data, one status byte.
struct virtio_blk_req_hdr {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct virtio_blk_req_hdr) == 16, "5.2.6");

#define VIRTIO_BLK_T_IN 0u
#define VIRTIO_BLK_T_OUT 1u
#define VIRTIO_BLK_T_FLUSH 4u
#define VIRTIO_BLK_T_GET_ID 8u
#define VIRTIO_BLK_T_DISCARD 11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u
#define VIRTIO_BLK_ID_BYTES 20u

#define VIRTIO_BLK_S_OK 0u
#define VIRTIO_BLK_S_IOERR 1u
#define VIRTIO_BLK_S_UNSUPP 2u

// 5.3 Console Device. Feature bit numbers and configuration layout.
#define VIRTIO_CONSOLE_F_SIZE 0
#define VIRTIO_CONSOLE_F_MULTIPORT 1
#define VIRTIO_CONSOLE_F_EMERG_WRITE 2

struct virtio_console_config {
    uint16_t cols;
    uint16_t rows;
    uint32_t max_nr_ports;
    uint32_t emerg_wr;
};
_Static_assert(sizeof(struct virtio_console_config) == 12, "5.3.4");
