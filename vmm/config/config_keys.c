// SPDX-License-Identifier: Apache-2.0
//
// Every key of a Lodge configuration, one row each, in the order of docs/config.md.
#include "vmm/config/config_keys.h"
#include "vmm/config/arch/board.h"

#include <stdio.h>
#include <string.h>

#define PCPU_LIMIT 256 // CPUs that a build may know at most
#define DURATION_MAX_US 1000000u

static struct config_pos pos_of(const struct toml_node *node)
{
    return (struct config_pos){node->pos.line, node->pos.column};
}

// ---- strings with ${arch} ----

// Appends; false when it does not fit.
static bool append(char *out, size_t size, size_t *len, const char *s, size_t n)
{
    if (n >= size - *len) {
        return false;
    }
    memcpy(out + *len, s, n);
    *len += n;
    out[*len] = '\0';
    return true;
}

static bool expand(struct schema_context *cx, const struct toml_node *node, char *out, size_t size)
{
    static const char var[] = "${arch}";
    char raw[CONFIG_PATH_MAX];
    size_t len = 0;

    if (!schema_string(cx, node, raw, sizeof(raw))) {
        return false;
    }
    out[0] = '\0';
    for (const char *c = raw; *c;) {
        const char *from = c;
        size_t n = 1;

        if (strncmp(c, var, strlen(var)) == 0) {
            from = cx->env->arch;
            n = strlen(from);
            c += strlen(var);
        } else if (c[0] == '$' && c[1] == '{') {
            schema_complain(cx, node->pos, "%s: only ${arch} can be expanded here",
                            schema_key_name(node).text);
            return false;
        } else {
            c++;
        }
        if (!append(out, size, &len, from, n)) {
            schema_complain(cx, node->pos, "%s: longer than %zu bytes", schema_key_name(node).text, size - 1);
            return false;
        }
    }
    return true;
}

// A path or catalogue name with ${arch} expanded, into char[CONFIG_PATH_MAX]; ".." is refused.
static void set_path(struct schema_context *cx, const struct schema_key *key, void *target,
                     const struct toml_node *node)
{
    char *field = (char *)target + key->offset;

    if (!expand(cx, node, field, key->size)) {
        field[0] = '\0';
        return;
    }
    for (const char *c = field; (c = strstr(c, "..")) != NULL; c += 2) {
        if ((c == field || c[-1] == '/' || c[-1] == ':') && (c[2] == '/' || c[2] == '\0')) {
            schema_complain(cx, node->pos, "%s: '..' is not allowed in a path", schema_key_name(node).text);
            field[0] = '\0';
            return;
        }
    }
}

// ---- [host] ----

static const char *const console_values[] = {"merged", "focus", NULL};
static const char *const log_values[] = {"err", "warn", "info", "debug", NULL};
static const char *const allow_values[] = {"off", "allow", NULL};
static const char *const last_stop_values[] = {"stay", "poweroff", NULL};

static const struct schema_key host_keys[] = {
    {.name = "console",
     .type = SCHEMA_ENUM,
     .values = console_values,
     SCHEMA_FIELD(struct host_config, console)},
    {.name = "log", .type = SCHEMA_ENUM, .values = log_values, SCHEMA_FIELD(struct host_config, log)},
    {.name = "fat_config",
     .type = SCHEMA_ENUM,
     .values = allow_values,
     SCHEMA_FIELD(struct host_config, fat_config)},
    {.name = "on_last_stop",
     .type = SCHEMA_ENUM,
     .values = last_stop_values,
     SCHEMA_FIELD(struct host_config, on_last_stop)},
    {.name = "cpus",
     .type = SCHEMA_UINT,
     .min = 1,
     .max = PCPU_LIMIT,
     SCHEMA_FIELD(struct host_config, cpus)},
};

const struct schema_table config_host_keys = {.name = "host", SCHEMA_ROWS(host_keys)};

// ---- [vm.boot] ----

static const char *const source_values[] = {"embed", "fat", NULL};

static const struct schema_key boot_keys[] = {
    {.name = "source",
     .type = SCHEMA_ENUM,
     .values = source_values,
     SCHEMA_FIELD(struct boot_config, source)},
    {.name = "kernel",
     .type = SCHEMA_CUSTOM,
     .required = true,
     .set = set_path,
     .pos_offset = offsetof(struct boot_config, kernel_pos),
     SCHEMA_FIELD(struct boot_config, kernel)},
    {.name = "initrd",
     .type = SCHEMA_CUSTOM,
     .set = set_path,
     .pos_offset = offsetof(struct boot_config, initrd_pos),
     SCHEMA_FIELD(struct boot_config, initrd)},
    {.name = "dtb",
     .type = SCHEMA_CUSTOM,
     .set = set_path,
     .pos_offset = offsetof(struct boot_config, dtb_pos),
     SCHEMA_FIELD(struct boot_config, dtb)},
    {.name = "cmdline", .type = SCHEMA_STRING, SCHEMA_FIELD(struct boot_config, cmdline)},
    {.name = "load",
     .type = SCHEMA_UINT,
     .hex = true,
     .max = BIT64(40) - 1,
     .align = 4,
     .has_offset = offsetof(struct boot_config, has_load),
     SCHEMA_FIELD(struct boot_config, load)},
    {.name = "entry",
     .type = SCHEMA_UINT,
     .hex = true,
     .max = BIT64(40) - 1,
     .has_offset = offsetof(struct boot_config, has_entry),
     SCHEMA_FIELD(struct boot_config, entry)},
};
static const struct schema_table boot_table = {.name = "vm.boot", SCHEMA_ROWS(boot_keys)};

// ---- [vm.sched] ----

static bool pcpu_add(struct schema_context *cx, struct vm_config *vm, const struct toml_node *node)
{
    const struct schema_key range = {.max = PCPU_LIMIT - 1};
    uint64_t v;

    if (!schema_uint(cx, &range, node, &v)) {
        return false;
    }
    for (unsigned i = 0; i < vm->sched.pcpu_count; i++) {
        if (vm->sched.pcpus[i] == v) {
            schema_complain(cx, node->pos, "vm.sched.pcpus: CPU %u is named twice", (unsigned)v);
            return false;
        }
    }
    if (vm->sched.pcpu_count == CONFIG_PCPU_MAX) {
        schema_complain(cx, node->pos, "vm.sched.pcpus: more than %u CPUs", CONFIG_PCPU_MAX);
        return false;
    }
    vm->sched.pcpus[vm->sched.pcpu_count++] = (uint16_t)v;
    return true;
}

static void set_pcpus(struct schema_context *cx, const struct schema_key *key, void *target,
                      const struct toml_node *node)
{
    struct vm_config *vm = target;

    (void)key;
    vm->pcpus_pos = pos_of(node);
    if (node->type != TOML_ARRAY) {
        schema_complain(cx, node->pos, "vm.sched.pcpus: must be an array of CPU numbers, as in [0, 1]");
        return;
    }
    if (node->list.count == 0) {
        schema_complain(cx, node->pos, "vm.sched.pcpus: names no CPU; leave the key out to allow all");
    }
    toml_for_each(it, node)
    {
        if (!pcpu_add(cx, vm, it)) {
            return;
        }
    }
}

// "5ms", "250us", "1s" as microseconds.
static bool parse_duration(const char *s, uint64_t *us)
{
    static const struct {
        const char *unit;
        uint64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    uint64_t n = 0;
    const char *c = s;

    for (; *c >= '0' && *c <= '9' && n < DURATION_MAX_US; c++) {
        n = n * 10 + (uint64_t)(*c - '0');
    }
    for (unsigned i = 0; i < ARRAY_SIZE(units) && c != s; i++) {
        if (strcmp(c, units[i].unit) == 0) {
            *us = n * units[i].us;
            return true;
        }
    }
    return false;
}

// A time into uint64_t.
static void set_duration(struct schema_context *cx, const struct schema_key *key, void *target,
                         const struct toml_node *node)
{
    uint64_t *field = (uint64_t *)(void *)((char *)target + key->offset);
    char text[24];

    if (!schema_string(cx, node, text, sizeof(text))) {
        return;
    }
    if (!parse_duration(text, field)) {
        schema_complain(cx, node->pos, "vm.sched.%s: must be a time such as \"5ms\" or \"250us\"", key->name);
    } else if (*field < key->min || *field > DURATION_MAX_US) {
        schema_complain(cx, node->pos, "vm.sched.%s: outside %uus to 1s", key->name, (unsigned)key->min);
        *field = 0;
    }
}

static const struct schema_key sched_keys[] = {
    {.name = "pcpus", .type = SCHEMA_CUSTOM, .set = set_pcpus},
    {.name = "budget",
     .type = SCHEMA_CUSTOM,
     .set = set_duration,
     .min = 50,
     .pos_offset = offsetof(struct vm_config, budget_pos),
     SCHEMA_FIELD(struct vm_config, sched.budget_us)},
    {.name = "period",
     .type = SCHEMA_CUSTOM,
     .set = set_duration,
     .min = 100,
     .pos_offset = offsetof(struct vm_config, period_pos),
     SCHEMA_FIELD(struct vm_config, sched.period_us)},
    {.name = "weight",
     .type = SCHEMA_UINT,
     .min = 1,
     .max = 1000,
     SCHEMA_FIELD(struct vm_config, sched.weight)},
    {.name = "priority",
     .type = SCHEMA_UINT,
     .min = 1,
     .max = 23,
     SCHEMA_FIELD(struct vm_config, sched.priority)},
};
static const struct schema_table sched_table = {.name = "vm.sched", SCHEMA_ROWS(sched_keys)};

// ---- memory = "256M" and [[vm.memory]] ----

static const char *const kind_values[] = {"ram", "rom", "shared", NULL};

static const struct schema_key memory_keys[] = {
    {.name = "base",
     .type = SCHEMA_UINT,
     .hex = true,
     .max = BIT64(40) - PAGE_SIZE,
     .align = PAGE_SIZE,
     .has_offset = offsetof(struct region_config, has_base),
     SCHEMA_FIELD(struct region_config, base)},
    {.name = "size",
     .type = SCHEMA_SIZE,
     .required = true,
     .min = PAGE_SIZE,
     .max = BIT64(40),
     .align = PAGE_SIZE,
     SCHEMA_FIELD(struct region_config, size)},
    {.name = "kind", .type = SCHEMA_ENUM, .values = kind_values, SCHEMA_FIELD(struct region_config, kind)},
    {.name = "share", .type = SCHEMA_STRING, SCHEMA_FIELD(struct region_config, share)},
};
static const struct schema_table memory_table = {.name = "vm.memory", SCHEMA_ROWS(memory_keys)};

static void region_add(struct schema_context *cx, struct vm_config *vm, const struct toml_node *node)
{
    struct region_config *region;

    if (node->type != TOML_TABLE) {
        schema_complain(cx, node->pos, "vm.memory: must be a size such as \"256M\", or [[vm.memory]] tables");
        return;
    }
    if (vm->region_count == CONFIG_REGION_MAX) {
        schema_complain(cx, node->pos, "vm.memory: more than %u regions", CONFIG_REGION_MAX);
        return;
    }
    region = &vm->regions[vm->region_count++];
    region->pos = pos_of(node);
    schema_read(cx, &memory_table, region, node);
    if (region->kind == REGION_SHARED && !schema_name_valid(region->share)) {
        schema_complain(
            cx, node->pos,
            "vm.memory.share: a shared region needs the name that both VMs give it (letters, digits, "
            "'_', '-', '.')");
    } else if (region->kind != REGION_SHARED && region->share[0]) {
        schema_complain(cx, node->pos, "vm.memory.share: only for kind = \"shared\"");
    }
}

static void set_memory(struct schema_context *cx, const struct schema_key *key, void *target,
                       const struct toml_node *node)
{
    const struct schema_key row = {
        .type = SCHEMA_SIZE, .min = cx->board->ram_min, .max = BIT64(40), .align = PAGE_SIZE};
    struct vm_config *vm = target;

    (void)key;
    vm->memory_pos = pos_of(node);
    if (node->type != TOML_ARRAY) {
        (void)schema_size(cx, &row, node, &vm->memory);
        return;
    }
    toml_for_each(it, node)
    {
        region_add(cx, vm, it);
    }
}

// ---- [[vm.device]] ----

static const char *const model_values[] = {"uart", "rtc", "virtio-console", "virtio-blk", NULL};

const char *vdev_model_name(enum vdev_model model)
{
    return (unsigned)model < MODEL_COUNT ? model_values[model] : "unknown";
}

static const struct schema_key device_keys[] = {
    {.name = "model",
     .type = SCHEMA_ENUM,
     .required = true,
     .values = model_values,
     SCHEMA_FIELD(struct device_config, model)},
    {.name = "backend",
     .type = SCHEMA_CUSTOM,
     .set = set_path,
     .pos_offset = offsetof(struct device_config, backend_pos),
     SCHEMA_FIELD(struct device_config, backend)},
    {.name = "size",
     .type = SCHEMA_SIZE,
     .min = 512,
     .max = BIT64(40),
     .align = 512,
     SCHEMA_FIELD(struct device_config, size)},
    {.name = "read_only", .type = SCHEMA_BOOL, SCHEMA_FIELD(struct device_config, read_only)},
    {.name = "base",
     .type = SCHEMA_UINT,
     .hex = true,
     .max = BIT64(40) - PAGE_SIZE,
     .align = 0x200,
     .has_offset = offsetof(struct device_config, has_base),
     .pos_offset = offsetof(struct device_config, base_pos),
     SCHEMA_FIELD(struct device_config, base)},
    {.name = "irq",
     .type = SCHEMA_UINT,
     .max = 1019,
     .has_offset = offsetof(struct device_config, has_irq),
     .pos_offset = offsetof(struct device_config, irq_pos),
     SCHEMA_FIELD(struct device_config, irq)},
};
static const struct schema_table device_table = {.name = "vm.device", SCHEMA_ROWS(device_keys)};

static void *device_element(struct schema_context *cx, void *target, const struct toml_node *node)
{
    struct vm_config *vm = target;
    struct device_config *device;

    if (vm->device_count == CONFIG_DEVICE_MAX) {
        schema_complain(cx, node->pos, "vm.device: more than %u devices", CONFIG_DEVICE_MAX);
        return NULL;
    }
    device = &vm->devices[vm->device_count++];
    device->pos = pos_of(node);
    memcpy(device->where.file, vm->where.file, sizeof(device->where.file));
    device->where.line = node->pos.line;
    return device;
}

// ---- [[vm]] ----

static const char *const crash_values[] = {"stop", "restart", "reboot-host", NULL};
static const char *const gic_values[] = {"auto", "v2", "v3", NULL};
static const char *const irqchip_values[] = {"auto", "plic", "aia", NULL};
static const char *const timer_values[] = {"direct", NULL}; // "trap" comes with an emulated timer

// The rows of [vm.board] are the architecture's.
static void set_board(struct schema_context *cx, const struct schema_key *key, void *target,
                      const struct toml_node *node)
{
    struct vm_config *vm = target;

    (void)key;
    if (node->type != TOML_TABLE) {
        schema_complain(cx, node->pos, "vm.board: must be a table");
        return;
    }
    schema_read(cx, &cx->board->keys, &vm->board, node);
}

static void check_name(struct schema_context *cx, void *target, const struct toml_node *node)
{
    const struct vm_config *vm = target;

    if (!schema_name_valid(vm->name)) {
        schema_complain(
            cx, node->pos,
            "vm.name: must be letters, digits, '_', '-' and '.', and start with a letter or digit");
    }
}

static const struct schema_key vm_keys[] = {
    {.name = "name",
     .type = SCHEMA_STRING,
     .required = true,
     .check = check_name,
     SCHEMA_FIELD(struct vm_config, name)},
    {.name = "cpus",
     .type = SCHEMA_UINT,
     .min = 1,
     .max = 512,
     .pos_offset = offsetof(struct vm_config, cpus_pos),
     SCHEMA_FIELD(struct vm_config, cpus)},
    {.name = "memory", .type = SCHEMA_CUSTOM, .required = true, .set = set_memory},
    {.name = "on_crash",
     .type = SCHEMA_ENUM,
     .values = crash_values,
     SCHEMA_FIELD(struct vm_config, on_crash)},
    {.name = "restart_limit",
     .type = SCHEMA_UINT,
     .max = 1000,
     SCHEMA_FIELD(struct vm_config, restart_limit)},
    {.name = "autostart", .type = SCHEMA_BOOL, SCHEMA_FIELD(struct vm_config, autostart)},
    {.name = "gic",
     .type = SCHEMA_ENUM,
     .values = gic_values,
     .pos_offset = offsetof(struct vm_config, gic_pos),
     SCHEMA_FIELD(struct vm_config, gic)},
    {.name = "irqchip",
     .type = SCHEMA_ENUM,
     .values = irqchip_values,
     .pos_offset = offsetof(struct vm_config, irqchip_pos),
     SCHEMA_FIELD(struct vm_config, irqchip)},
    {.name = "timer", .type = SCHEMA_ENUM, .values = timer_values, SCHEMA_FIELD(struct vm_config, timer)},
    {.name = "boot",
     .type = SCHEMA_TABLE,
     .required = true,
     .table = &boot_table,
     SCHEMA_FIELD(struct vm_config, boot)},
    {.name = "sched", .type = SCHEMA_TABLE, .table = &sched_table},
    {.name = "board", .type = SCHEMA_CUSTOM, .set = set_board},
    {.name = "device", .type = SCHEMA_TABLES, .table = &device_table, .element = device_element},
};
static const struct schema_table vm_table = {.name = "vm", SCHEMA_ROWS(vm_keys)};

static void vm_defaults(struct schema_context *cx, struct vm_config *vm, const struct toml_node *node)
{
    const struct toml_node *name = toml_get(node, "name");
    size_t skip = strlen(cx->file);

    memset(vm, 0, sizeof(*vm));
    vm->cpus = 1;
    vm->autostart = true;
    vm->restart_limit = 5;
    vm->sched.priority = 8;
    vm->sched.weight = 100;
    skip = skip >= sizeof(vm->where.file) ? skip - sizeof(vm->where.file) + 1 : 0;
    (void)snprintf(vm->where.file, sizeof(vm->where.file), "%s", cx->file + skip);
    vm->where.line = node->pos.line;
    // Known from here on, so that complaints about keys above it name the VM too.
    if (name && name->type == TOML_STRING && name->text.len < sizeof(vm->name)) {
        (void)snprintf(vm->name, sizeof(vm->name), "%s", name->text.ptr);
    }
    if (!schema_name_valid(vm->name)) {
        (void)snprintf(vm->name, sizeof(vm->name), "#%u", cx->config->vm_count);
    }
}

static void *vm_element(struct schema_context *cx, void *target, const struct toml_node *node)
{
    struct config *config = target;

    cx->vm = NULL;
    if (config->vm_count == CONFIG_VM_MAX) {
        schema_complain(cx, node->pos, "vm: more than %u virtual machines", CONFIG_VM_MAX);
        return NULL;
    }
    cx->vm = &config->vms[config->vm_count++];
    vm_defaults(cx, cx->vm, node);
    return cx->vm;
}

static void vm_done(struct schema_context *cx, void *target, const struct toml_node *node)
{
    (void)node;
    config_check_vm(cx, target);
    cx->vm = NULL;
}

static const struct schema_key top_keys[] = {
    {.name = "host", .type = SCHEMA_TABLE, .table = &config_host_keys, SCHEMA_FIELD(struct config, host)},
    {.name = "vm", .type = SCHEMA_TABLES, .table = &vm_table, .element = vm_element, .check = vm_done},
};

const struct schema_table config_top_keys = {.name = "", SCHEMA_ROWS(top_keys)};
