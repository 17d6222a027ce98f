// SPDX-License-Identifier: Apache-2.0
//
// The single written lock order. A CPU may take a lock only if its rank is higher than that of every lock it holds;
// debug builds assert it. Two locks of one rank are never held together.
#pragma once

enum lock_rank {
    LOCK_NONE = 0, // not checked: single-threaded set-up only
    LOCK_VM_TABLE, // list of VMs
    LOCK_VM,       // one VM's life cycle
    LOCK_FS,       // file system volume
    LOCK_VDEV,     // one virtual device's registers
    LOCK_VIRTQUEUE,
    LOCK_BACKEND,   // a back end's request queue
    LOCK_VGIC_DIST, // a virtual distributor
    LOCK_VGIC_CPU,  // one vCPU's pending list
    LOCK_GMEM,
    LOCK_VMAP,   // the hypervisor's window of virtual addresses
    LOCK_ASPACE, // one page table
    LOCK_BLOCK,  // a real block device
    LOCK_PCI,    // the ports of PCI's configuration space
    LOCK_POOL,
    LOCK_PAGE,    // page allocator
    LOCK_IRQ,     // interrupt descriptors
    LOCK_IRQCHIP, // registers of a real interrupt controller
    LOCK_WAIT,    // wait queues and completions
    LOCK_SCHED,   // one CPU's run queue
    LOCK_TIMER,   // one CPU's timer queue
    LOCK_RANDOM,  // the key stream
    LOCK_CONSOLE, // console output
    LOCK_LOG,     // log ring
    LOCK_RANK_COUNT
};

_Static_assert(LOCK_RANK_COUNT <= 32, "struct lock_tracker holds one bit per rank");
