// SPDX-License-Identifier: Apache-2.0
//
// IDE controllers on PCI, such as the PIIX3 of old PCs, of Bochs and of QEMU's pc ("PCI IDE Controller Specification 1.0"): two
// channels at their old ports, or where base address registers put them. Data go by programmed I/O, and a worker thread for each
// channel does that, so it takes the time of a processor: what matters is that there is a disk at all.
#include <stdio.h>

#include "arch/cpu.h"
#include "drivers/block/ata.h"
#include "drivers/pci/pci.h"
#include "kernel/dev/block.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"

#define CHANNELS 2u
#define UNITS 2u
#define NATIVE_MODE(channel) (1u << 2 * (channel)) // in the programming interface
#define COMMAND_BLOCK_SIZE 8u
#define CONTROL_BLOCK_SIZE 4u
#define CONTROL_REGISTER 2u // within it

struct ide_disk {
    struct block_device dev;
    struct ata_drive drive;
    struct ide_channel *channel;
    struct list_node queue; // of requests; the channel's lock protects it
    char name[8];
    bool present;
};

struct ide_channel {
    struct ata_channel ata;
    uint16_t command, control; // ports
    struct ide_disk disks[UNITS];
    struct spinlock lock;
    struct wait_queue wq;
    unsigned next; // whose turn it is
};

static unsigned disk_count;

// ---- ports ----------------------------------------

static uint16_t port_of(const struct ide_channel *ch, enum ata_register reg)
{
    return reg == ATA_ALT_STATUS ? ch->control : (uint16_t)(ch->command + (unsigned)reg);
}

static uint8_t ide_read(void *ctx, enum ata_register reg)
{
    return (uint8_t)arch_port_read(port_of(ctx, reg), 1);
}

static void ide_write(void *ctx, enum ata_register reg, uint8_t v)
{
    arch_port_write(port_of(ctx, reg), 1, v);
}

static void ide_data_in(void *ctx, void *buf, size_t size)
{
    const struct ide_channel *ch = ctx;
    uint32_t *words = buf;

    for (size_t i = 0; i < size / sizeof(*words); i++) {
        words[i] = arch_port_read(ch->command, sizeof(*words));
    }
}

static void ide_data_out(void *ctx, const void *buf, size_t size)
{
    const struct ide_channel *ch = ctx;
    const uint32_t *words = buf;

    for (size_t i = 0; i < size / sizeof(*words); i++) {
        arch_port_write(ch->command, sizeof(*words), words[i]);
    }
}

static const struct ata_io ide_io = {
    .read = ide_read,
    .write = ide_write,
    .data_in = ide_data_in,
    .data_out = ide_data_out,
};

// ---- requests ----------------------------------------

static enum status ide_submit(struct block_device *dev, struct block_request *req)
{
    struct ide_disk *disk = dev->priv;
    enum status s = disk->drive.dead ? E_IO : block_check(dev, req);
    irq_state_t irq;

    if (s != OK) {
        return s;
    }
    irq = spin_lock_irqsave(&disk->channel->lock);
    list_push_back(&disk->queue, &req->node);
    spin_unlock_irqrestore(&disk->channel->lock, irq);
    wait_wake_all(&disk->channel->wq);
    return OK;
}

// The drives of a channel take turns. NULL: nothing to do.
static struct block_request *next_request(struct ide_channel *ch, struct ide_disk **disk)
{
    irq_state_t irq = spin_lock_irqsave(&ch->lock);
    struct list_node *node = NULL;

    for (unsigned i = 0; i < UNITS && !node; i++) {
        *disk = &ch->disks[ch->next++ % UNITS];
        node = list_pop_front(&(*disk)->queue);
    }
    spin_unlock_irqrestore(&ch->lock, irq);
    return node ? list_entry(node, struct block_request, node) : NULL;
}

static bool has_request(void *ctx)
{
    struct ide_channel *ch = ctx;
    irq_state_t irq = spin_lock_irqsave(&ch->lock);
    bool has = !list_empty(&ch->disks[0].queue) || !list_empty(&ch->disks[1].queue);

    spin_unlock_irqrestore(&ch->lock, irq);
    return has;
}

static enum status do_segment(struct ide_disk *disk, enum block_op op, uint64_t sector,
                              const struct block_segment *seg)
{
    uint32_t left = seg->size / SECTOR_SIZE;
    char *at = seg->va;
    enum status s = OK;

    while (left && s == OK) {
        uint32_t now = left < ATA_COMMAND_SECTORS ? left : ATA_COMMAND_SECTORS;

        s = op == BLOCK_READ ? ata_read(&disk->drive, sector, at, now)
                             : ata_write(&disk->drive, sector, at, now);
        sector += now;
        at += now * SECTOR_SIZE;
        left -= now;
    }
    return s;
}

static enum status do_request(struct ide_disk *disk, const struct block_request *req)
{
    uint64_t sector = req->sector;
    enum status s = req->op == BLOCK_FLUSH ? ata_flush(&disk->drive) : OK;

    for (unsigned i = 0; i < req->segment_count && s == OK && req->op != BLOCK_FLUSH; i++) {
        s = do_segment(disk, req->op, sector, &req->segments[i]);
        sector += req->segments[i].size / SECTOR_SIZE;
    }
    return s;
}

static void ide_worker(void *arg)
{
    struct ide_channel *ch = arg;

    thread_set_bulk(true); // every byte goes through the processor
    for (;;) {
        struct ide_disk *disk;
        struct block_request *req = next_request(ch, &disk);

        if (req) {
            bool was_dead = disk->drive.dead;
            enum status s = do_request(disk, req);

            if (disk->drive.dead && !was_dead) {
                log_err("%s: the drive does not answer; it is not used any more", disk->name);
            }
            req->done(req, s);
        } else {
            wait_event(&ch->wq, has_request, ch);
        }
    }
}

// ---- probing ----------------------------------------

static void add_disk(struct ide_channel *ch, uint8_t unit)
{
    struct ide_disk *disk = &ch->disks[unit];
    enum status s = ata_identify(&ch->ata, unit, &disk->drive);

    if (s != OK) {
        if (s != E_NOENT) {
            log_info("IDE at port 0x%x, drive %u: %s", ch->command, unit,
                     s == E_UNSUPPORTED ? "not a disk" : status_name(s));
        }
        return;
    }
    snprintf(disk->name, sizeof(disk->name), "ide%u", disk_count++ % 1000);
    disk->dev = (struct block_device){
        .name = disk->name,
        .sector_count = disk->drive.sector_count,
        .can_flush = disk->drive.can_flush,
        .segment_max = BLOCK_SEGMENTS_MAX,
        .submit = ide_submit,
        .priv = disk,
    };
    disk->present = true;
    log_info("%s: %s", disk->name, disk->drive.model);
}

static enum status start_channel(struct ide_channel *ch)
{
    struct thread *worker = thread_create(
        &(struct thread_attr){.name = "ide", .entry = ide_worker, .arg = ch, .cpu = 0, .prio = PRIO_WORKER});
    enum status s = worker ? OK : E_NOMEM;

    if (!worker) {
        return s;
    }
    thread_start(worker);
    for (unsigned i = 0; i < UNITS && s == OK; i++) {
        s = ch->disks[i].present ? block_register(&ch->disks[i].dev) : OK;
    }
    return s;
}

// E_NOENT: nothing there.
static enum status add_channel(uint16_t command, uint16_t control)
{
    struct ide_channel *ch = pool_alloc(sizeof(*ch));

    if (!ch) {
        return E_NOMEM;
    }
    ch->ata = (struct ata_channel){.io = &ide_io, .ctx = ch};
    ch->command = command;
    ch->control = control;
    spin_init(&ch->lock, LOCK_BLOCK);
    wait_queue_init(&ch->wq);
    for (uint8_t i = 0; i < UNITS; i++) {
        ch->disks[i].channel = ch;
        list_init(&ch->disks[i].queue);
    }
    if (ata_channel_present(&ch->ata)) {
        add_disk(ch, 0);
        add_disk(ch, 1);
    }
    if (!ch->disks[0].present && !ch->disks[1].present) {
        pool_free(ch, sizeof(*ch));
        return E_NOENT;
    }
    return start_channel(ch);
}

static bool find_ports(const struct pci_function *fn, unsigned channel, uint16_t *command, uint16_t *control)
{
    static const uint16_t old_ports[CHANNELS][2] = {{0x1F0, 0x3F6}, {0x170, 0x376}};
    struct pci_bar first, second;

    *command = old_ports[channel][0];
    *control = old_ports[channel][1];
    if (!(fn->class_code & NATIVE_MODE(channel))) {
        return true;
    }
    if (pci_bar_get(fn, 2 * channel, &first) != OK || pci_bar_get(fn, 2 * channel + 1, &second) != OK ||
        !first.port || !second.port || first.size < COMMAND_BLOCK_SIZE || second.size < CONTROL_BLOCK_SIZE ||
        first.base > UINT16_MAX - COMMAND_BLOCK_SIZE || second.base > UINT16_MAX - CONTROL_BLOCK_SIZE) {
        return false;
    }
    *command = (uint16_t)first.base;
    *control = (uint16_t)(second.base + CONTROL_REGISTER);
    return true;
}

static enum status ide_probe(const struct hw_desc *hw)
{
    enum status result = E_UNSUPPORTED;

    if (!hw->pci) {
        return E_UNSUPPORTED;
    }
    pci_enable(hw->pci, PCI_COMMAND_IO);
    for (unsigned i = 0; i < CHANNELS; i++) {
        uint16_t command, control;
        enum status s =
            find_ports(hw->pci, i, &command, &control) ? add_channel(command, control) : E_CORRUPT;

        if (s != OK && s != E_NOENT) {
            log_warn("%s: channel %u: %s", hw->name, i, status_name(s));
        }
        result = s == OK ? OK : result;
    }
    return result;
}

static const char *const ide_ids[] = {"pci:class:0101", NULL};

static const struct driver ide_driver = {
    .name = "ide",
    .class = DRIVER_DEVICE,
    .ids = ide_ids,
    .probe = ide_probe,
};

DRIVER_DEFINE(ide_driver);
