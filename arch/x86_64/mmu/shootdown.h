// SPDX-License-Identifier: Apache-2.0
//
// Telling other CPUs to drop what their TLBs hold. By NMI: it reaches a CPU that has interrupts masked, who may even be
// waiting for a lock that the asking CPU holds, and it makes a CPU leave the guest it runs.
#pragma once

// Drops everything of the hypervisor's own on all CPUs, and makes those that run a guest look at what changed before they
// enter it again. Returns when all have. Any context.
void shootdown_all(void);

// The handler, also to be called for NMIs that end a guest's run.
void shootdown_nmi(void);
