// SPDX-License-Identifier: Apache-2.0
//
// Host interrupts that belong to whichever guest is loaded.
#pragma once

// Timers and the controller's maintenance interrupt: registers the handlers on the boot CPU, enables them there and on every
// other CPU. Every CPU as it comes up, interrupts masked.
void guest_irqs_init_cpu(void);
