// SPDX-License-Identifier: Apache-2.0
//
// Fuzzing the configuration: any text as a TOML from the FAT disk, on each architecture. Whatever is accepted must keep
// the promises that the rest of Lodge relies on.
#include "kernel/lib/range.h"
#include "vmm/config/config.h"
#include "vmm/config/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct config_errors errors, plan_errors;
static struct vm_plan plan;
static _Alignas(16) char arena[512 * 1024];

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool exists(const char *key, void *ctx)
{
    (void)ctx;
    require(key[0] != '\0');
    return strlen(key) % 3 != 0;
}

static void check_plan(const struct vm_config *vm, const char *arch)
{
    uint64_t ram = 0;

    plan_errors.count = 0;
    require(plan_build(&plan, vm, arch, &plan_errors) == OK && plan_errors.count == 0);
    require(plan.region_count >= 1 && plan.console >= 0);
    for (unsigned i = 0; i < plan.region_count; i++) {
        const struct plan_region *r = &plan.regions[i];

        require(r->size > 0 && is_aligned(r->base, PAGE_SIZE) && is_aligned(r->size, PAGE_SIZE));
        require(range_contains(0, BIT64(40), r->base, r->size));
        require(i == 0 || plan.regions[i - 1].base + plan.regions[i - 1].size <= r->base);
        ram += r->kind == REGION_RAM ? r->size : 0;
    }
    require(ram == vm->memory);
    for (unsigned i = 0; i < plan.device_count; i++) {
        const struct plan_device *d = &plan.devices[i];

        require(strlen(d->name) < sizeof(d->name));
        require(d->port || strcmp(plan_describe(&plan, d->base), d->name) == 0);
        for (unsigned j = 0; j < i; j++) {
            require(plan.devices[j].irq != d->irq);
            require(plan.devices[j].port != d->port ||
                    !range_overlaps(plan.devices[j].base, plan.devices[j].size, d->base, d->size));
        }
    }
}

static void check_config(const struct config_env *env)
{
    char line[400];

    require(config.vm_count <= CONFIG_VM_MAX);
    for (unsigned i = 0; i < errors.count && i < ARRAY_SIZE(errors.list); i++) {
        require(errors.list[i].text[0] != '\0');
        for (const char *c = config_error_format(line, sizeof(line), &errors.list[i]); *c; c++) {
            require((unsigned char)*c >= 0x20 && *c != 0x7F);
        }
    }
    for (unsigned i = 0; i < config.vm_count; i++) {
        const struct vm_config *vm = &config.vms[i];

        if (vm->refused) {
            require(errors.count > 0);
            continue;
        }
        require(vm->cpus >= 1 && vm->boot.kernel[0] && vm->name[0]);
        require(vm->boot.source != BOOT_FAT || vm->boot.kernel[0] == '/');
        check_plan(vm, env->arch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const archs[] = {"aarch64", "riscv64", "x86_64"};
    unsigned choice = size > 0 ? data[size - 1] : 0;
    struct config_env env = {.arch = archs[choice % 3]};
    struct config_source source = {"fuzz.toml", (const char *)data, size};
    enum status s;

    if (choice & 0x10) {
        env.embedded_exists = exists;
        env.file_exists = exists;
        env.ram_free = GIB(1);
        env.cpu_count = 4;
    }
    s = config_load(&config, &source, 1, &env, arena, sizeof(arena), &errors);
    require((s == OK) == (errors.count == 0));
    check_config(&env);
    return 0;
}
