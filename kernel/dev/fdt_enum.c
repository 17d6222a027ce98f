// SPDX-License-Identifier: Apache-2.0
//
// Walks the device tree once, depth first, with a stack of the buses above the current node: that gives the
// cell sizes for "reg", the "ranges" to translate it through and the inherited interrupt parent without
// searching back.
//
// Follows the Devicetree Specification 0.4 (2.3.6 reg, 2.3.8 ranges, 2.4 interrupts, 3.8 cpus), the Arm
// GIC and PSCI bindings and RISC-V's for PLIC and AIA. Nodes that use something not understood here lose that property, not more.
#include "kernel/dev/fdt_enum.h"

#include <inttypes.h>
#include <string.h>

#include "kernel/cpu/cpu.h"
#include "kernel/dev/fdt_read.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/lib/range.h"
#include "kernel/log/log.h"

// What a node means for its children.
struct bus {
    unsigned addr_cells, size_cells;
    bool reachable;        // enabled, with sane cells, and not a folder such as /cpus
    bool has_ranges;       // children's addresses can be translated to the parent's
    const fdt32_t *ranges; // NULL when they are the same
    unsigned range_cells;  // length of `ranges`
    uint32_t irq_parent;   // phandle, 0 when unknown
};

// Interrupt controllers whose specifiers are understood.
enum irq_parent {
    PARENT_OTHER,
    PARENT_GIC,
    PARENT_PLIC,
    PARENT_APLIC
};

struct walk {
    const void *fdt;
    int console; // node, or negative
    struct bus stack[FDT_DEPTH_MAX];
    uint32_t irq_phandle; // the last interrupt parent looked up, and what it was
    unsigned irq_cells;
    enum irq_parent irq_kind;
};

static const void *tree;
static const char *psci_method;

const char *fdt_psci_method(void)
{
    return psci_method;
}

bool hw_prop_u32(const struct hw_desc *hw, const char *name, uint32_t *out)
{
    return tree && hw->fw_node >= 0 && fdt_read_u32(tree, hw->fw_node, name, out);
}

bool hw_prop_u64(const struct hw_desc *hw, const char *name, uint64_t *out)
{
    return tree && hw->fw_node >= 0 && fdt_read_u64(tree, hw->fw_node, name, out);
}

// ---- registers ----------------------------------------

// One step up: from the addresses of the children of `bus` to those of its parent.
static bool translate_step(const struct bus *bus, unsigned parent_cells, uint64_t *addr, uint64_t size)
{
    unsigned stride = bus->addr_cells + parent_cells + bus->size_cells;

    if (!bus->has_ranges) {
        return false;
    }
    if (!bus->ranges) {
        return true;
    }
    for (unsigned i = 0; i + stride <= bus->range_cells; i += stride) {
        uint64_t child = 0;
        uint64_t parent = 0;
        uint64_t length = 0;

        if (fdt_read_cells(bus->ranges + i, bus->addr_cells, &child) &&
            fdt_read_cells(bus->ranges + i + bus->addr_cells, parent_cells, &parent) &&
            fdt_read_cells(bus->ranges + i + bus->addr_cells + parent_cells, bus->size_cells, &length) &&
            range_contains(child, length, *addr, size)) {
            return add_checked(parent, *addr - child, addr);
        }
    }
    return false;
}

static bool translate(const struct walk *w, unsigned bus, uint64_t *addr, uint64_t size)
{
    for (; bus > 0; bus--) {
        if (!translate_step(&w->stack[bus], w->stack[bus - 1].addr_cells, addr, size)) {
            return false;
        }
    }
    return range_valid(*addr, size);
}

static void read_regs(const struct walk *w, unsigned bus, int node, struct hw_desc *hw)
{
    unsigned ac = w->stack[bus].addr_cells;
    unsigned sc = w->stack[bus].size_cells;
    unsigned cells = 0;
    const fdt32_t *reg = fdt_read_array(w->fdt, node, "reg", &cells);

    if (!reg || ac == 0 || sc == 0) {
        return;
    }
    for (unsigned i = 0; i + ac + sc <= cells && hw->reg_count < HW_REGS_MAX; i += ac + sc) {
        uint64_t base = 0;
        uint64_t size = 0;

        if (!fdt_read_cells(reg + i, ac, &base) || !fdt_read_cells(reg + i + ac, sc, &size) || size == 0 ||
            !translate(w, bus, &base, size)) {
            return; // the ones after it would get the wrong numbers
        }
        hw->regs[hw->reg_count].base = hpa(base);
        hw->regs[hw->reg_count].size = size;
        hw->reg_count++;
    }
}

// ---- interrupts ----------------------------------------

static enum irq_parent irq_parent_kind(const void *fdt, int node)
{
    static const struct {
        const char *name;
        enum irq_parent kind;
    } known[] = {{"arm,gic-v3", PARENT_GIC},         {"arm,gic-400", PARENT_GIC},
                 {"arm,cortex-a15-gic", PARENT_GIC}, {"arm,cortex-a7-gic", PARENT_GIC},
                 {"arm,cortex-a9-gic", PARENT_GIC},  {"sifive,plic-1.0.0", PARENT_PLIC},
                 {"riscv,plic0", PARENT_PLIC},       {"riscv,aplic", PARENT_APLIC}};

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        if (fdt_read_compatible(fdt, node, known[i].name)) {
            return known[i].kind;
        }
    }
    return PARENT_OTHER;
}

// Makes `phandle` the current interrupt parent; false when it is no interrupt controller.
static bool select_irq_parent(struct walk *w, uint32_t phandle)
{
    if (phandle != w->irq_phandle) {
        int node = phandle ? fdt_read_by_phandle(w->fdt, phandle) : -1;
        uint32_t cells = 0;

        w->irq_phandle = phandle;
        w->irq_cells = 0;
        w->irq_kind = PARENT_OTHER;
        if (node >= 0 && fdt_read_u32(w->fdt, node, "#interrupt-cells", &cells) && cells <= 4) {
            w->irq_cells = cells;
            w->irq_kind = irq_parent_kind(w->fdt, node);
        }
    }
    return w->irq_cells != 0;
}

// GIC: type (0 SPI, 1 PPI), number, flags (1 and 2 edge, 4 and 8 level). Extended ranges are not supported.
static void add_gic_irq(struct hw_desc *hw, const fdt32_t *p)
{
    uint32_t type = fdt32_ld(p);
    uint32_t number = fdt32_ld(p + 1);
    uint32_t flags = fdt32_ld(p + 2);

    if ((type == 0 && number < 988) || (type == 1 && number < 16)) {
        hw->irqs[hw->irq_count].irq = number + (type == 0 ? 32 : 16);
        hw->irqs[hw->irq_count].level = (flags & 0x3) == 0;
        hw->irq_count++;
    }
}

// PLIC: the source. APLIC: the source and flags (1 and 2 edge, 4 and 8 level).
static void add_riscv_irq(struct hw_desc *hw, const fdt32_t *p, bool has_flags)
{
    uint32_t source = fdt32_ld(p);
    uint32_t flags = has_flags ? fdt32_ld(p + 1) : 0;

    if (source > 0 && source < 1024) {
        hw->irqs[hw->irq_count].irq = HW_RISCV_SOURCE + source;
        hw->irqs[hw->irq_count].level = (flags & 0x3) == 0;
        hw->irq_count++;
    }
}

static void add_irq(const struct walk *w, struct hw_desc *hw, const fdt32_t *p)
{
    if (w->irq_kind == PARENT_GIC && w->irq_cells >= 3) {
        add_gic_irq(hw, p);
    } else if (w->irq_kind == PARENT_PLIC) {
        add_riscv_irq(hw, p, false);
    } else if (w->irq_kind == PARENT_APLIC && w->irq_cells >= 2) {
        add_riscv_irq(hw, p, true);
    }
}

static void read_irqs(struct walk *w, unsigned bus, int node, struct hw_desc *hw)
{
    unsigned cells = 0;
    uint32_t parent = w->stack[bus].irq_parent;
    const fdt32_t *p = fdt_read_array(w->fdt, node, "interrupts-extended", &cells);
    bool extended = p != NULL;
    unsigned i = 0;

    if (!extended) {
        fdt_read_u32(w->fdt, node, "interrupt-parent", &parent);
        p = fdt_read_array(w->fdt, node, "interrupts", &cells);
    }
    while (p && i < cells && hw->irq_count < HW_IRQS_MAX) {
        if (extended) {
            parent = fdt32_ld(p + i++);
        }
        if (!select_irq_parent(w, parent) || cells - i < w->irq_cells) {
            return;
        }
        add_irq(w, hw, p + i);
        i += w->irq_cells;
    }
}

// The hart that a riscv,cpu-intc node belongs to: its parent's "reg".
static bool cpu_of_intc(int intc, uint64_t *hw_id)
{
    int cpu = fdt_read_parent(tree, intc);
    int cpus = cpu >= 0 ? fdt_read_parent(tree, cpu) : -1;
    unsigned ac = 0;
    unsigned sc = 0;
    unsigned cells = 0;
    const fdt32_t *reg = cpu >= 0 ? fdt_read_array(tree, cpu, "reg", &cells) : NULL;

    return cpus >= 0 && reg && fdt_read_bus_cells(tree, cpus, &ac, &sc) && ac > 0 && cells >= ac &&
           fdt_read_cells(reg, ac, hw_id);
}

bool hw_cpu_irq(const struct hw_desc *hw, unsigned i, struct hw_cpu_irq *out)
{
    unsigned cells = 0;
    const fdt32_t *p = NULL;
    int intc = -1;

    if (tree && hw->fw_node >= 0) {
        p = fdt_read_array(tree, hw->fw_node, "interrupts-extended", &cells);
    }
    if (!p || i >= cells / 2) { // a phandle and one cell each
        return false;
    }
    intc = fdt_read_by_phandle(tree, fdt32_ld(p + (size_t)i * 2));
    out->irq = fdt32_ld(p + (size_t)i * 2 + 1);
    return intc >= 0 && fdt_read_compatible(tree, intc, "riscv,cpu-intc") &&
           cpu_of_intc(intc, &out->cpu_hw_id);
}

// ---- nodes ----------------------------------------

// The first PSCI node says how its calls are made.
static void look_for_psci(const void *fdt, int node, const struct hw_desc *hw)
{
    const char *method;
    bool is_psci = false;

    for (unsigned i = 0; i < hw->id_count; i++) {
        is_psci = is_psci || strcmp(hw->ids[i], "arm,psci-1.0") == 0 ||
                  strcmp(hw->ids[i], "arm,psci-0.2") == 0 || strcmp(hw->ids[i], "arm,psci") == 0;
    }
    if (psci_method || !is_psci) {
        return;
    }
    method = fdt_read_string(fdt, node, "method");
    if (method && strcmp(method, "smc") == 0) {
        psci_method = "smc";
    } else if (method && strcmp(method, "hvc") == 0) {
        psci_method = "hvc";
    } else {
        log_warn("device tree: the PSCI node names neither smc nor hvc as its method");
    }
}

static enum status add_device(struct walk *w, unsigned bus, int node)
{
    struct hw_desc hw = {
        .name = fdt_read_name(w->fdt, node), .is_console = node == w->console, .fw_node = node};
    int len = 0;
    const char *ids = fdt_read_string_list(w->fdt, node, "compatible", &len);

    if (!ids || !hw.name) {
        return OK;
    }
    for (const char *p = ids; p < ids + len && hw.id_count < HW_IDS_MAX; p += strlen(p) + 1) {
        hw.ids[hw.id_count++] = p;
    }
    look_for_psci(w->fdt, node, &hw);
    read_regs(w, bus, node, &hw);
    read_irqs(w, bus, node, &hw);
    return hw_add(&hw);
}

static bool is_folder(const char *name)
{
    static const char *const folders[] = {"cpus", "chosen", "aliases", "reserved-memory"};

    for (unsigned i = 0; i < ARRAY_SIZE(folders); i++) {
        if (strcmp(name, folders[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void describe_bus(const struct walk *w, const struct bus *parent, int node, struct bus *out)
{
    const char *name = fdt_read_name(w->fdt, node);
    unsigned cells = 0;
    const fdt32_t *ranges = fdt_read_array(w->fdt, node, "ranges", &cells);

    *out = (struct bus){
        .has_ranges = ranges != NULL,
        .ranges = cells ? ranges : NULL,
        .range_cells = cells,
        .irq_parent = parent ? parent->irq_parent : 0,
    };
    fdt_read_u32(w->fdt, node, "interrupt-parent", &out->irq_parent);
    out->reachable = fdt_read_enabled(w->fdt, node) && (!parent || parent->reachable) && name &&
                     !is_folder(name) && fdt_read_bus_cells(w->fdt, node, &out->addr_cells, &out->size_cells);
}

static enum status walk_tree(struct walk *w)
{
    int depth = 0;
    int last = 0; // the node before, which has children if this one lies deeper
    unsigned last_level = 0;
    enum status s = OK;

    for (int node = fdt_read_next_node(w->fdt, 0, &depth); s == OK && node >= 0 && depth > 0;
         node = fdt_read_next_node(w->fdt, node, &depth)) {
        unsigned level = (unsigned)depth;

        if (level >= FDT_DEPTH_MAX) {
            continue;
        }
        if (level > last_level) {
            describe_bus(w, level > 1 ? &w->stack[level - 2] : NULL, last, &w->stack[level - 1]);
        }
        last = node;
        last_level = level;
        if (w->stack[level - 1].reachable && fdt_read_enabled(w->fdt, node)) {
            s = add_device(w, level - 1, node);
        }
    }
    return s;
}

// The node of a path that begins with / or an alias.
static int node_of_path(const void *fdt, const char *path, size_t len)
{
    char alias[32];
    const char *target;
    int aliases;

    if (len == 0 || path[0] == '/') {
        return len ? fdt_read_path(fdt, path, len) : -FDT_ERR_NOTFOUND;
    }
    aliases = fdt_read_child(fdt, 0, "aliases");
    if (aliases < 0 || len >= sizeof(alias)) {
        return -FDT_ERR_NOTFOUND;
    }
    memcpy(alias, path, len);
    alias[len] = '\0';
    target = fdt_read_string(fdt, aliases, alias);
    return target && target[0] == '/' ? fdt_read_path(fdt, target, strlen(target)) : -FDT_ERR_NOTFOUND;
}

static int first_compatible(const void *fdt, const char *id)
{
    int depth = 1;

    for (int node = 0; node >= 0 && depth > 0; node = fdt_read_next_node(fdt, node, &depth)) {
        if (fdt_read_compatible(fdt, node, id) && fdt_read_enabled(fdt, node)) {
            return node;
        }
    }
    return -FDT_ERR_NOTFOUND;
}

// stdout-path is a path or an alias, with options after a colon. Without one: serial0, else the first known
// UART.
static int find_console(const void *fdt, const char *path)
{
    static const char *const uarts[] = {"arm,pl011", "ns16550a"};
    int node = node_of_path(fdt, path, strcspn(path, ":"));

    if (node < 0) {
        node = node_of_path(fdt, "serial0", strlen("serial0"));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(uarts) && node < 0; i++) {
        node = first_compatible(fdt, uarts[i]);
    }
    return node;
}

// ---- CPUs and PSCI ----------------------------------------

// A CPU with status "disabled" waits for its enable-method; only "fail" means that it must not be used
// (3.8.1).
static bool is_usable_cpu(const void *fdt, int node)
{
    const char *type = fdt_read_string(fdt, node, "device_type");
    const char *status = fdt_read_string(fdt, node, "status");

    return type && strcmp(type, "cpu") == 0 && !(status && strncmp(status, "fail", 4) == 0);
}

static void announce_cpu(const void *fdt, int node, unsigned addr_cells, uint64_t boot_hw_id)
{
    unsigned cells = 0;
    const fdt32_t *reg = fdt_read_array(fdt, node, "reg", &cells);
    const char *method = fdt_read_string(fdt, node, "enable-method");
    uint64_t hw_id = 0;
    uint64_t release = 0;

    if (!reg || addr_cells == 0 || cells < addr_cells || !fdt_read_cells(reg, addr_cells, &hw_id)) {
        log_warn("device tree: /cpus/%s: reg is missing or damaged; CPU ignored", fdt_read_name(fdt, node));
        return;
    }
    if (hw_id == boot_hw_id) {
        return;
    }
    fdt_read_u64(fdt, node, "cpu-release-addr", &release);

    enum status s = cpu_announce(hw_id, method ? method : "", release);

    if (s != OK) {
        log_warn("device tree: CPU 0x%" PRIx64 " not used: %s", hw_id, status_name(s));
    }
}

static void announce_cpus(const void *fdt, uint64_t boot_hw_id)
{
    int cpus = fdt_read_child(fdt, 0, "cpus");
    unsigned ac = 0;
    unsigned sc = 0;
    int depth = 0;

    if (cpus < 0 || !fdt_read_bus_cells(fdt, cpus, &ac, &sc)) {
        log_warn("device tree: no usable /cpus node; one CPU is used");
        return;
    }
    for (int node = fdt_read_next_node(fdt, cpus, &depth); node >= 0 && depth > 0;
         node = fdt_read_next_node(fdt, node, &depth)) {
        if (depth == 1 && is_usable_cpu(fdt, node)) {
            announce_cpu(fdt, node, ac, boot_hw_id);
        }
    }
}

enum status fdt_enum_scan(const struct boot_info *bi)
{
    struct walk w = {.fdt = bi->fdt_va};

    if (!bi->fdt_va) {
        return E_NOENT;
    }
    fdt_read_forget();
    tree = bi->fdt_va;
    w.console = find_console(tree, bi->stdout_path);
    psci_method = NULL;
    announce_cpus(tree, bi->boot_cpu_hw_id);
    return walk_tree(&w);
}
