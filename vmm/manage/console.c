// SPDX-License-Identifier: Apache-2.0
//
// See console.h: the multiplexer with what it needs to know of VMs.
#include "vmm/manage/console.h"

#include <stdio.h>
#include <string.h>

#include "arch/boot.h"
#include "vmm/backend/char_mux.h"
#include "vmm/manage/manager.h"

#define LAST_WORDS_MS 500

static void describe(void *ctx, const char *name, char *buf, size_t size)
{
    const struct vm *vm;

    (void)ctx;
    for (unsigned i = 0; (vm = manager_vm(i)); i++) {
        if (strcmp(vm_name(vm), name) == 0) {
            snprintf(buf, size, "%s, %u vCPU, %llu MiB%s%s", vm_state_name(vm->state), vm->vcpu_count,
                     (unsigned long long)(vm->config->memory >> 20), vm->fault[0] ? ": " : "", vm->fault);
            return;
        }
    }
    snprintf(buf, size, "not created");
}

static void machine_off(void *ctx)
{
    (void)ctx;
    console_poweroff();
}

void console_flush(void)
{
    char_mux_flush(LAST_WORDS_MS);
}

void console_poweroff(void)
{
    log_info("powering off");
    console_flush();
    arch_poweroff();
    log_err("the firmware cannot power this machine off");
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
