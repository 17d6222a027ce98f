// SPDX-License-Identifier: Apache-2.0
//
// An APLIC in front of IMSICs, as the IMSIC driver uses it: wired sources become messages (RISC-V Advanced
// Interrupt Architecture 1.0, chapter 4). All false or without effect where there is no such APLIC. Any CPU.
#pragma once

#include "kernel/irq/irq.h"

// The source sends message `id` to the hart with this index (of its MSI address configuration); it stays off.
bool aplic_msi_configure(unsigned source, enum irq_trigger trigger, unsigned hart_index, unsigned id);
void aplic_msi_enable(unsigned source, bool on);
// Sends one message by hand (4.5.15). The firmware says where the files are: this tells whether it did.
void aplic_msi_send(unsigned hart_index, unsigned id);
// After a message of a level-triggered source was handled: another one if it is still asserted (4.9.2).
void aplic_msi_retrigger(unsigned source);
