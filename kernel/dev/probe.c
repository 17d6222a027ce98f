// SPDX-License-Identifier: Apache-2.0
//
// Brings hardware and drivers together. Drivers are pointers in the linker section "drivers"; a device's own
// order of identifiers, most specific first, decides between several that fit.
#include <string.h>

#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"

extern const struct driver *const __start_drivers[];
extern const struct driver *const __stop_drivers[];

// Matches nothing; it is here so that the section exists in builds without drivers.
static const char *const no_ids[] = {NULL};

static enum status no_probe(const struct hw_desc *hw)
{
    (void)hw;
    return E_UNSUPPORTED;
}

static const struct driver no_driver = {.name = "none",
                                        .class = DRIVER_DEVICE,
                                        .ids = no_ids,
                                        .probe = no_probe};

DRIVER_DEFINE(no_driver);

static size_t driver_count(void)
{
    return ((uintptr_t)__stop_drivers - (uintptr_t)__start_drivers) / sizeof(__start_drivers[0]);
}

static bool driver_has_id(const struct driver *drv, const char *id)
{
    for (const char *const *p = drv->ids; *p; p++) {
        if (**p == *id && strcmp(*p, id) == 0) {
            return true;
        }
    }
    return false;
}

// True when the driver took the device.
static bool offer(const struct driver *drv, const struct hw_desc *hw)
{
    enum status s = drv->probe(hw);

    if (s != OK && s != E_UNSUPPORTED) {
        log_err("%s: driver %s: %s", hw->name, drv->name, status_name(s));
    }
    return s == OK;
}

static void probe_one(const struct hw_desc *hw, enum driver_class class)
{
    for (unsigned i = 0; i < hw->id_count; i++) {
        for (size_t d = 0; d < driver_count(); d++) {
            const struct driver *drv = __start_drivers[d];

            if (drv->class == class && driver_has_id(drv, hw->ids[i]) && offer(drv, hw)) {
                return;
            }
        }
    }
}

void dev_probe(enum driver_class class)
{
    for (unsigned i = 0; i < hw_count(); i++) {
        probe_one(hw_get(i), class);
    }
}
