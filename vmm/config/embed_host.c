// SPDX-License-Identifier: Apache-2.0
//
// The host library embeds nothing. The two symbols must be equal, which C cannot say.
#include "vmm/config/embed.h"

__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        ".globl embed_table, embed_table_end\n"
        "embed_table:\n"
        "embed_table_end:\n"
        ".popsection");
