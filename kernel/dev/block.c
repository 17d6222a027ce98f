// SPDX-License-Identifier: Apache-2.0
//
// The registry of real block devices, the checks that all of them share, and the synchronous forms.
#include "kernel/dev/block.h"

#include <inttypes.h>
#include <string.h>

#include "kernel/lib/range.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define CHUNK_SECTORS 2048u // of one request of the synchronous forms: 1 MiB
#define PATIENCE_MS 10000u  // after this much waiting for a device, the log says so

// Devices are registered by the boot CPU or a worker thread; readers see the count last.
static struct block_device **list;
static unsigned capacity;
static _Atomic unsigned device_count;

unsigned block_count(void)
{
    return atomic_load_explicit(&device_count, memory_order_acquire);
}

struct block_device *block_get(unsigned i)
{
    return i < block_count() ? list[i] : NULL;
}

static bool grow(unsigned count)
{
    unsigned wanted = capacity ? 2 * capacity : 8;
    struct block_device **bigger = pool_alloc_array(wanted, sizeof(list[0]));

    if (!bigger) {
        return false;
    }
    if (list) {
        // The old array stays: somebody may be reading it.
        memcpy(bigger, list, count * sizeof(list[0]));
    }
    list = bigger;
    capacity = wanted;
    return true;
}

enum status block_register(struct block_device *dev)
{
    unsigned count = block_count();

    if (!dev->name || !dev->submit || dev->segment_max == 0 || dev->segment_max > BLOCK_SEGMENTS_MAX) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(list[i]->name, dev->name) == 0) {
            return E_EXISTS;
        }
    }
    if (count == capacity && !grow(count)) {
        return E_NOMEM;
    }
    list[count] = dev;
    // Pairs with the acquire in block_count().
    atomic_store_explicit(&device_count, count + 1, memory_order_release);
    log_info("block: %s, %" PRIu64 " MiB%s%s", dev->name, dev->sector_count >> 11,
             dev->read_only ? ", read-only" : "", dev->can_flush ? ", write cache" : "");
    return OK;
}

enum status block_check(const struct block_device *dev, const struct block_request *req)
{
    uint64_t bytes = 0;

    if (req->op == BLOCK_FLUSH) {
        return dev->can_flush ? OK : E_UNSUPPORTED;
    }
    if (req->op != BLOCK_READ && req->op != BLOCK_WRITE) {
        return E_INVAL;
    }
    if (req->op == BLOCK_WRITE && dev->read_only) {
        return E_PERM;
    }
    if (req->segment_count == 0 || req->segment_count > dev->segment_max) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < req->segment_count; i++) {
        if (req->segments[i].size == 0 || req->segments[i].size % SECTOR_SIZE != 0) {
            return E_INVAL;
        }
        bytes += req->segments[i].size;
    }
    return range_contains(0, dev->sector_count, req->sector, bytes / SECTOR_SIZE) ? OK : E_RANGE;
}

struct sync_request {
    struct block_request req;
    struct completion done;
    enum status result;
};

static void sync_done(struct block_request *req, enum status result)
{
    struct sync_request *sync = container_of(req, struct sync_request, req);

    sync->result = result;
    completion_signal(&sync->done);
}

// The device may still write to the request's memory, so there is no giving up; but there is saying so.
static enum status submit_and_wait(struct block_device *dev, struct sync_request *sync)
{
    completion_init(&sync->done);
    sync->req.done = sync_done;

    enum status s = dev->submit(dev, &sync->req);

    if (s != OK) {
        return s;
    }
    while (!completion_wait_timeout(&sync->done, time_from_ms(PATIENCE_MS))) {
        log_warn("block: %s has not answered for %u s", dev->name, PATIENCE_MS / 1000);
    }
    return sync->result;
}

static enum status transfer(struct block_device *dev, enum block_op op, uint64_t sector,
                            struct block_segment buf)
{
    uint64_t left = buf.size / SECTOR_SIZE;
    char *va = buf.va;

    while (left) {
        uint64_t now = min_u64(left, CHUNK_SECTORS);
        struct sync_request sync = {.req = {.op = op,
                                            .sector = sector,
                                            .segments = {{.va = va, .size = (uint32_t)now * SECTOR_SIZE}},
                                            .segment_count = 1}};
        enum status s = submit_and_wait(dev, &sync);

        if (s != OK) {
            return s;
        }
        sector += now;
        va += now * SECTOR_SIZE;
        left -= now;
    }
    return OK;
}

enum status block_read(struct block_device *dev, uint64_t sector, void *buf, uint32_t count)
{
    if (count > UINT32_MAX / SECTOR_SIZE) {
        return E_RANGE;
    }
    return transfer(dev, BLOCK_READ, sector, (struct block_segment){.va = buf, .size = count * SECTOR_SIZE});
}

enum status block_write(struct block_device *dev, uint64_t sector, const void *buf, uint32_t count)
{
    // A segment is for both directions; a write does not change it.
    union {
        const void *in;
        void *out;
    } va = {.in = buf};

    if (count > UINT32_MAX / SECTOR_SIZE) {
        return E_RANGE;
    }
    return transfer(dev, BLOCK_WRITE, sector,
                    (struct block_segment){.va = va.out, .size = count * SECTOR_SIZE});
}

enum status block_flush(struct block_device *dev)
{
    struct sync_request sync = {.req = {.op = BLOCK_FLUSH}};

    return dev->can_flush ? submit_and_wait(dev, &sync) : OK;
}
