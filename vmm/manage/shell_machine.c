// SPDX-License-Identifier: Apache-2.0
//
// Commands that end it all: `reboot`, `poweroff`.
#include "arch/boot.h"
#include "kernel/log/log.h"
#include "vmm/manage/console.h"
#include "vmm/manage/shell_console.h"

static enum status run_reboot(struct shell *sh, const struct shell_args *args)
{
    (void)sh;
    (void)args;
    log_info("resetting the machine");
    console_flush();
    arch_reset();
    return E_UNSUPPORTED;
}

static enum status run_poweroff(struct shell *sh, const struct shell_args *args)
{
    (void)sh;
    (void)args;
    console_poweroff();
    return E_UNSUPPORTED;
}

static const struct shell_command reboot_command = {.words = "reboot",
                                                    .usage = "",
                                                    .help = "reset the machine",
                                                    .run = run_reboot};
static const struct shell_command poweroff_command = {.words = "poweroff",
                                                      .usage = "",
                                                      .help = "turn the machine off",
                                                      .run = run_poweroff};
SHELL_COMMAND(reboot_command);
SHELL_COMMAND(poweroff_command);
