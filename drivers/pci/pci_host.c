// SPDX-License-Identifier: Apache-2.0
//
// The host bridge of a PC: configuration space by the ports 0xCF8 and 0xCFC ("PCI Local Bus Specification 3.0", 3.2.2.3.2), or
// mapped as memory where the firmware's MCFG table says so and both ways show the same ("PCI Express Base Specification 4.0",
// 7.2.2). Its probe announces what the bus holds; those functions are then probed like all other hardware.
#include <inttypes.h>

#include "arch/cpu.h"
#include "drivers/pci/pci.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/vmap.h"
#include "kernel/sync/spinlock.h"

#define CONFIG_ENABLE 0x80000000u
#define CONFIG_DATA 4u // behind the address port
#define BUS_SIZE MIB(1)
#define FUNCTION_SIZE KIB(4)

static struct spinlock lock = SPINLOCK_INIT(LOCK_PCI); // the two ports
static uint16_t address_port;

static struct {
    struct pci_host host;
    uint64_t base;
    volatile char *bus[PCI_BUSES_MAX]; // mapped when the scan comes to it
} ecam;

// ---- ports ----------------------------------------

static bool port_open_bus(struct pci_host *host, uint8_t bus)
{
    (void)host;
    (void)bus;
    return true;
}

static void select_register(uint8_t bus, uint8_t devfn, unsigned off)
{
    arch_port_write(address_port, 4,
                    CONFIG_ENABLE | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (off & 0xFCu));
}

static uint32_t port_read(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off,
                          unsigned size)
{
    irq_state_t irq = spin_lock_irqsave(&lock);
    uint32_t v;

    (void)host;
    select_register(bus, devfn, off);
    v = arch_port_read((uint16_t)(address_port + CONFIG_DATA + (off & 3)), size);
    spin_unlock_irqrestore(&lock, irq);
    return v;
}

static void port_write(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off, unsigned size,
                       uint32_t v)
{
    irq_state_t irq = spin_lock_irqsave(&lock);

    (void)host;
    select_register(bus, devfn, off);
    arch_port_write((uint16_t)(address_port + CONFIG_DATA + (off & 3)), size, v);
    spin_unlock_irqrestore(&lock, irq);
}

static const struct pci_config_ops port_ops = {
    .open_bus = port_open_bus,
    .read = port_read,
    .write = port_write,
};

static struct pci_host port_host = {.ops = &port_ops, .bus_count = PCI_BUSES_MAX};

static bool ports_answer(void)
{
    arch_port_write(address_port, 4, CONFIG_ENABLE);
    return arch_port_read(address_port, 4) == CONFIG_ENABLE;
}

// ---- memory ----------------------------------------

static bool ecam_open_bus(struct pci_host *host, uint8_t bus)
{
    (void)host;
    if (!ecam.bus[bus]) {
        ecam.bus[bus] = mmio_map(hpa(ecam.base + bus * BUS_SIZE), BUS_SIZE);
    }
    return ecam.bus[bus] != NULL;
}

static volatile void *ecam_function(const struct pci_host *host, uint8_t bus, uint8_t devfn)
{
    (void)host; // there is one
    return ecam.bus[bus] + devfn * FUNCTION_SIZE;
}

static uint32_t ecam_read(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off,
                          unsigned size)
{
    volatile void *regs = ecam_function(host, bus, devfn);

    return size == 1 ? mmio_read8(regs, off) : size == 2 ? mmio_read16(regs, off) : mmio_read32(regs, off);
}

static void ecam_write(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off, unsigned size,
                       uint32_t v)
{
    volatile void *regs = ecam_function(host, bus, devfn);

    if (size == 1) {
        mmio_write8(regs, off, (uint8_t)v);
    } else if (size == 2) {
        mmio_write16(regs, off, (uint16_t)v);
    } else {
        mmio_write32(regs, off, v);
    }
}

static const struct pci_config_ops ecam_ops = {
    .open_bus = ecam_open_bus,
    .read = ecam_read,
    .write = ecam_write,
};

// The same bridges must answer at the first devices of bus 0: a table that is wrong shows something else.
static bool ecam_answers(void)
{
    for (unsigned device = 0; device < 4; device++) {
        uint8_t devfn = PCI_DEVFN(device, 0);

        if (ecam_read(&ecam.host, 0, devfn, PCI_VENDOR_ID, 4) !=
            port_read(&port_host, 0, devfn, PCI_VENDOR_ID, 4)) {
            return false;
        }
    }
    return true;
}

static struct pci_host *choose(const struct hw_desc *hw)
{
    if (hw->reg_count < 2) {
        return &port_host;
    }
    ecam.base = hw->regs[1].base.v;
    ecam.host = (struct pci_host){.ops = &ecam_ops, .bus_count = (unsigned)(hw->regs[1].size / BUS_SIZE)};
    if (ecam_open_bus(&ecam.host, 0) && ecam_answers()) {
        return &ecam.host;
    }
    log_warn("%s: no configuration space at 0x%" PRIx64 ", where the MCFG table has it", hw->name, ecam.base);
    return &port_host;
}

// ---- the bus ----------------------------------------

static enum status announce(const struct pci_function *found, void *ctx)
{
    struct pci_function *fn = pool_alloc(sizeof(*fn));
    struct hw_desc hw = {.id_count = 2, .fw_node = -1, .pci = fn};

    if (!fn) {
        return E_NOMEM;
    }
    *fn = *found;
    hw.name = fn->name;
    hw.ids[0] = fn->ids[0];
    hw.ids[1] = fn->ids[1];
    ++*(unsigned *)ctx;
    return hw_add(&hw);
}

static enum status pci_host_probe(const struct hw_desc *hw)
{
    struct pci_host *host;
    unsigned count = 0;
    enum status s;

    if (address_port || hw->reg_count < 1 || !hw->regs[0].port) {
        return E_UNSUPPORTED;
    }
    address_port = (uint16_t)hw->regs[0].base.v;
    if (!ports_answer()) {
        return E_UNSUPPORTED; // a machine without PCI
    }
    host = choose(hw);
    s = pci_scan(host, announce, &count);
    log_info("%s: %u functions, configuration space by %s", hw->name, count,
             host == &port_host ? "ports" : "memory");
    return s;
}

static const char *const pci_host_ids[] = {"PNP0A03", NULL};

static const struct driver pci_host_driver = {
    .name = "pci-host",
    .class = DRIVER_DEVICE,
    .ids = pci_host_ids,
    .probe = pci_host_probe,
};

DRIVER_DEFINE(pci_host_driver);
