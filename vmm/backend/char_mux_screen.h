// SPDX-License-Identifier: Apache-2.0
//
// The drawing half of the console multiplexer: what stands on the terminal's current line, and how to change
// it. Private to char_mux_core.c.
#pragma once

#include "vmm/backend/char_mux_core.h"

// Bytes as they are.
void char_mux_emit(struct char_mux_core *m, const char *text, size_t len);
// Ends the line that the cursor is in, whoever it belongs to.
void char_mux_break(struct char_mux_core *m);
// "[lodge] text" on a line of its own; what is not printable in `text` is shown as '?'.
void char_mux_emit_host(struct char_mux_core *m, const char *text, size_t len);
// The guest's whole line, ended: what of it is on the screen already stays there.
void char_mux_emit_line(struct char_mux_core *m, int slot);
// Makes the screen show the guest's unfinished line, with the cursor where the guest has it.
void char_mux_draw(struct char_mux_core *m, int slot);
// The guest's unfinished line without a prefix: on the way into focus mode.
void char_mux_emit_raw_line(struct char_mux_core *m, int slot);
