// SPDX-License-Identifier: Apache-2.0
//
// Boot code in C: the page table with the image's final permissions, the clock, the hand-over to kernel_main(); and turning
// the machine off by what ACPI said of it (ACPI 6.5, 4.8.3.2 and 4.8.3.6).
#include "arch/x86_64/boot/boot.h"

#include <string.h>

#include "arch/boot.h"
#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "arch/x86_64/cpu/cpu_local.h"
#include "kernel/lib/panic.h"

#define COM1 0x3F8
#define UART_LSR 5
#define UART_THRE 0x20
#define UART_WAIT 100000
#define CPUID81_EDX_1G BIT64(26)
#define TRAMPOLINE_TABLES 4 // one of each level
#define IMAGE_SLOT 511      // of the root table
#define SHIFT_1G 30u
#define SHIFT_2M 21u
#define PM1_SCI_EN 1u // ACPI 6.5, 4.8.3.2.1: the registers are ours, not the firmware's
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP 0x1C00u
#define PM1_SLP_EN 0x2000u
#define POWER_WAIT_MS 500 // a machine that has been told goes on for a while
#define PORT_KBC_COMMAND 0x64
#define KBC_RESET 0xFE
#define PORT_RESET_CONTROL 0xCF9 // PCI: 2 chooses a hard reset, 6 does it

// Intel SDM vol. 3A, 4.5.4; memory types by the PAT that cpu/cpu.c programs. A and D are set: no CPU needs to.
#define PTE_P BIT64(0)
#define PTE_W BIT64(1)
#define PTE_UC (BIT64(3) | BIT64(4)) // PAT entry 3
#define PTE_AD (BIT64(5) | BIT64(6))
#define PTE_PS BIT64(7)
#define PTE_NX BIT64(63)
#define PTE_LEAF (PTE_P | PTE_AD)

static const struct early_format format = {
    .leaf = {[EARLY_R] = PTE_LEAF | PTE_NX,
             [EARLY_RX] = PTE_LEAF,
             [EARLY_RW] = PTE_LEAF | PTE_W | PTE_NX,
             [EARLY_DEVICE] = PTE_LEAF | PTE_W | PTE_NX | PTE_UC},
    .block = PTE_PS,
    .valid = PTE_P,
    .table = PTE_P | PTE_W,
    .table_mask = PTE_P | PTE_W | PTE_PS,
    .write_clear = PTE_W,
    .pa_mask = MASK64(12, 40),
    .levels = 4,
};

struct early_map boot_tables;
static struct early_map trampoline_tables;
static struct boot_info boot_info;

static bool map_part(const char *from, const char *to, enum early_kind kind)
{
    uint64_t va = (uint64_t)(uintptr_t)from;

    return early_map(&boot_tables, va, va - IMAGE_OFFSET, (uint64_t)(to - from), kind);
}

// For the trampoline: its page executable where it is; the rest as in the boot tables. The first four pages of the pool are
// the tables that run now, in which everything here lies at its physical address; they are not used again.
static bool build_trampoline_tables(void)
{
    uint64_t pool = (uint64_t)(uintptr_t)early_tables_start - IMAGE_OFFSET + 4 * PAGE_SIZE;

    return early_map_init(&trampoline_tables, &format, pool, pool + TRAMPOLINE_TABLES * PAGE_SIZE) &&
           early_map(&trampoline_tables, TRAMPOLINE_PA, TRAMPOLINE_PA, PAGE_SIZE, EARLY_RX);
}

static void build_tables(void)
{
    uint64_t pool_end = (uint64_t)(uintptr_t)early_tables_end - IMAGE_OFFSET;
    bool has_1g = (cpuid_read(0x80000001, 0).edx & CPUID81_EDX_1G) != 0;
    bool ok = build_trampoline_tables() &&
              early_map_init(&boot_tables, &format, trampoline_tables.pool_end, pool_end);

    boot_tables.format.largest_shift = has_1g ? SHIFT_1G : SHIFT_2M;
    ok = ok && map_part(image_start, text_end, EARLY_RX);
    ok = ok && map_part(text_end, readonly_end, EARLY_R);
    ok = ok && map_part(ro_after_init_start, ro_after_init_end, EARLY_RW);
    ok = ok && map_part(ro_after_init_end, boot_stack_guard, EARLY_RW);
    ok = ok && map_part(boot_stack_bottom, image_end, EARLY_RW);
    if (!ok) {
        arch_cpu_halt();
    }
    boot_tables.to_pointer = IMAGE_OFFSET;
    creg_write(cr3, boot_tables.root);
}

volatile void *boot_map_device(uint64_t pa, uint64_t size)
{
    uint64_t base = align_down(pa, PAGE_SIZE);
    uint64_t end = align_up(pa + size, PAGE_SIZE);

    if (!early_map(&boot_tables, DIRECT_VA + base, base, end - base, EARLY_DEVICE)) {
        panic("no room to map a device: raise EARLY_TABLES");
    }
    return (volatile void *)(uintptr_t)(DIRECT_VA + pa);
}

void boot_main(unsigned protocol, uint64_t params)
{
    build_tables();
    lapic_map();
    lapic_init_cpu();
    time_init();
    boot_info.image = (struct boot_range){hpa(IMAGE_PA), (uint64_t)(image_end - image_start)};
    boot_info.protocol = (enum boot_protocol)protocol;
    boot_info.params = hpa(params);
    boot_info.boot_cpu_hw_id = lapic_own_id();
    boot_info.boot_ticks = arch_time_now();
    boot_info.has_entropy = cpu_entropy(boot_info.entropy, sizeof(boot_info.entropy));
    kernel_main(&boot_info);
}

static void uart_put(char c)
{
    for (unsigned i = 0; i < UART_WAIT && !(port_in8(COM1 + UART_LSR) & UART_THRE); i++) {
        arch_cpu_relax();
    }
    port_out8(COM1, (uint8_t)c);
}

void arch_early_putc(char c)
{
    if (c == '\n') {
        uart_put('\r');
    }
    uart_put(c);
}

void trampoline_set(const struct secondary_boot *boot)
{
    struct trampoline_args args = {
        .cr3 = trampoline_tables.root,
        .boot = (uint64_t)(uintptr_t)boot,
        .entry = (uint64_t)(uintptr_t)secondary_virtual,
    };
    uint64_t *root = (uint64_t *)(uintptr_t)(trampoline_tables.root + IMAGE_OFFSET);
    const uint64_t *ours = (const uint64_t *)(uintptr_t)(boot_tables.root + IMAGE_OFFSET);
    char *page = arch_phys_to_virt(hpa(TRAMPOLINE_PA));

    root[IMAGE_SLOT] = ours[IMAGE_SLOT];
    memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    memcpy(page + (trampoline_args - trampoline_start), &args, sizeof(args));
}

// Whether the port's bits have come; a machine that goes off or is reset does not let it end.
static bool wait_for_bits(uint16_t port, uint32_t bits)
{
    uint64_t start = arch_time_now(), ticks = arch_time_hz() / 1000 * POWER_WAIT_MS;

    do {
        if (port && (arch_port_read(port, 2) & bits) != 0) {
            return true;
        }
        arch_cpu_relax();
    } while (arch_time_now() - start < ticks);
    return false;
}

static void wait_for_end(void)
{
    (void)wait_for_bits(0, 0);
}

static void sleep_control(uint16_t port, uint32_t type, uint32_t enable)
{
    if (port) {
        arch_port_write(port, 2,
                        (arch_port_read(port, 2) & ~PM1_SLP_TYP) | type << PM1_SLP_TYP_SHIFT | enable);
    }
}

// ACPI 6.5, 16.1.7: both registers know the kind of sleep before they are told to begin.
void arch_poweroff(void)
{
    const struct boot_power *p = &boot_info.power;

    if (!p->pm1a_control) {
        return;
    }
    if (!(arch_port_read(p->pm1a_control, 2) & PM1_SCI_EN) && p->smi_command && p->acpi_enable) {
        arch_port_write(p->smi_command, 1, p->acpi_enable);
        (void)wait_for_bits(p->pm1a_control, PM1_SCI_EN); // without it some go off all the same
    }
    sleep_control(p->pm1a_control, p->s5_type_a, 0);
    sleep_control(p->pm1b_control, p->s5_type_b, 0);
    sleep_control(p->pm1a_control, p->s5_type_a, PM1_SLP_EN);
    sleep_control(p->pm1b_control, p->s5_type_b, PM1_SLP_EN);
    wait_for_end();
}

// What ACPI names, then what most PCs have.
void arch_reset(void)
{
    const struct boot_power *p = &boot_info.power;

    if (p->reset_port) {
        port_out8(p->reset_port, p->reset_value);
        wait_for_end();
    }
    port_out8(PORT_RESET_CONTROL, 2);
    port_out8(PORT_RESET_CONTROL, 6);
    wait_for_end();
    port_out8(PORT_KBC_COMMAND, KBC_RESET);
    wait_for_end();
}
