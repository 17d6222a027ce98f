// SPDX-License-Identifier: Apache-2.0
//
// See console.h: the multiplexer with what it needs to know of VMs.
#include "vmm/manage/console.h"

#include <stdio.h>
#include <string.h>

#include "arch/boot.h"
#include "vmm/backend/char_mux.h"
#include "vmm/manage/vm_table.h"

#define LAST_WORDS_MS 500

// A port is called after its VM, a second one "vm:uart".
static void describe(void *ctx, const char *name, char *buf, size_t size)
{
    char vm[CONFIG_NAME_MAX];
    size_t len = strcspn(name, ":");

    (void)ctx;
    snprintf(vm, sizeof(vm), "%.*s", (int)len, name);
    vm_table_describe(vm, buf, size);
}

static void turn_off(void)
{
    console_flush();
    arch_poweroff();
    log_err("the firmware cannot power this machine off");
}

// Ctrl-] q: the multiplexer has said so.
static void machine_off(void *ctx)
{
    (void)ctx;
    turn_off();
}

void console_flush(void)
{
    char_mux_flush(LAST_WORDS_MS);
}

void console_poweroff(void)
{
    log_info("powering off");
    turn_off();
}

enum status console_start(const struct host_config *host)
{
    static const struct char_mux_ops ops = {.state = describe, .poweroff = machine_off};

    return char_mux_start(host->console, &ops, 0);
}

struct char_backend *console_port(const char *name)
{
    struct char_backend *be;

    return char_mux_open(name, &be) == OK ? be : NULL;
}
