// SPDX-License-Identifier: Apache-2.0
//
// Real block devices. Requests are asynchronous; sectors are 512 bytes whatever the medium.
#pragma once

#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define SECTOR_SIZE 512u
#define BLOCK_SEGMENTS_MAX 16

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH
};

struct block_segment {
    void *va;      // direct-map or image memory, physically contiguous
    uint32_t size; // bytes, a multiple of SECTOR_SIZE
};

struct block_request {
    enum block_op op;
    uint64_t sector;
    struct block_segment segments[BLOCK_SEGMENTS_MAX];
    unsigned segment_count;
    // Called once, from a worker thread or interrupt handler; may submit again.
    void (*done)(struct block_request *req, enum status result);
    void *ctx;
    struct list_node node; // the driver's
};

struct block_device {
    const char *name;
    uint64_t sector_count;
    bool read_only;
    bool can_flush;
    unsigned segment_max; // segments of one request that the device takes, at most BLOCK_SEGMENTS_MAX
    // Takes the request or fails at once: E_RANGE beyond the device, E_INVAL for odd sizes or too many
    // segments, E_PERM for a write to a read-only device, E_UNSUPPORTED for a flush without can_flush (writes
    // are then durable when done), E_IO when the device is dead. A full queue is the driver's business. Never
    // calls done() itself. Any thread, any context.
    enum status (*submit)(struct block_device *dev, struct block_request *req);
    void *priv;
};

// What every driver checks first: the errors of submit() above but E_IO. Pure.
enum status block_check(const struct block_device *dev, const struct block_request *req);

// Registers for good. E_NOMEM, E_EXISTS (name), E_INVAL.
enum status block_register(struct block_device *dev);
unsigned block_count(void);
struct block_device *block_get(unsigned i);

// Synchronous forms for worker threads: `buf` as in struct block_segment (not on a stack: those are not in
// the direct map); `count` sectors. block_flush() of a device without can_flush is OK at once.
enum status block_read(struct block_device *dev, uint64_t sector, void *buf, uint32_t count);
enum status block_write(struct block_device *dev, uint64_t sector, const void *buf, uint32_t count);
enum status block_flush(struct block_device *dev);

// A block device over memory (a FAT image handed over as initrd), served by a worker thread of its own.
// Registers it as `name`, which must stay valid. The size is rounded down to whole sectors.
enum status block_ram_create(const char *name, void *base, uint64_t size, bool read_only);
