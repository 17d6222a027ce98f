// SPDX-License-Identifier: Apache-2.0
//
// Boot code in C. The first half runs with the MMU off at the load address: it must not read any stored pointer.
#include "arch/aarch64/boot/boot.h"

#include <asm/sysreg.h>

#include "arch/boot.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "linker/sections.h"

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_TXFF BIT64(5)
#define EARLY_UART_VA (VMAP_VA + VMAP_SIZE)
#define FDT_WINDOW MIB(4) // covers the largest blob the boot protocol allows (2 MiB), wherever it starts

// Stage 1, 4 KiB granule (Arm DDI 0487, D8.3).
#define DESC_VALID 1u
#define DESC_TABLE 3u // of a leaf at the last level: a page
#define DESC_ATTR(n) ((uint64_t)(n) << 2)
#define DESC_AP_RES1 BIT64(6)
#define DESC_AP_RO BIT64(7)
#define DESC_SH_INNER (UINT64_C(3) << 8)
#define DESC_AF BIT64(10)
#define DESC_GP BIT64(50) // guarded page: indirect branches must land on BTI, where the CPU has it
#define DESC_XN BIT64(54)
#define DESC_LEAF (DESC_AF | DESC_AP_RES1 | DESC_VALID)
#define DESC_NORMAL (DESC_LEAF | DESC_ATTR(0) | DESC_SH_INNER)

static const struct early_format format = {
    .leaf = {[EARLY_R] = DESC_NORMAL | DESC_AP_RO | DESC_XN,
             [EARLY_RX] = DESC_NORMAL | DESC_AP_RO | DESC_GP,
             [EARLY_RW] = DESC_NORMAL | DESC_XN,
             [EARLY_DEVICE] = DESC_LEAF | DESC_ATTR(1) | DESC_XN},
    .page = DESC_TABLE,
    .valid = DESC_VALID,
    .table = DESC_TABLE,
    .table_mask = DESC_TABLE,
    .write_set = DESC_AP_RO,
    .pa_mask = MASK64(12, 36),
    .levels = 4,
};

struct early_map boot_tables;
uint64_t image_offset;

static volatile uint32_t *early_uart;

// Maps one part of the image, given by its run-time addresses while the MMU is off.
static bool map_part(struct early_map *m, const char *from, const char *to, enum early_kind kind,
                     uint64_t image_pa)
{
    uint64_t pa = (uint64_t)(uintptr_t)from;

    return early_map(m, IMAGE_VA + (pa - image_pa), pa, (uint64_t)(to - from), kind);
}

uint64_t boot_map(uint64_t image_pa, uint64_t fdt_pa)
{
    struct early_map m;
    uint64_t idmap = (uint64_t)(uintptr_t)idmap_start;
    uint64_t fdt = align_down(fdt_pa, BLOCK_SIZE);
    bool ok;

    ok = early_map_init(&m, &format, (uint64_t)(uintptr_t)early_tables_start,
                        (uint64_t)(uintptr_t)early_tables_end);
    ok = ok && early_map(&m, idmap, idmap, PAGE_SIZE, EARLY_RX);
    ok = ok && map_part(&m, image_start, text_end, EARLY_RX, image_pa);
    ok = ok && map_part(&m, text_end, readonly_end, EARLY_R, image_pa);
    ok = ok && map_part(&m, ro_after_init_start, ro_after_init_end, EARLY_RW, image_pa);
    ok = ok && map_part(&m, ro_after_init_end, boot_stack_guard, EARLY_RW, image_pa);
    ok = ok && map_part(&m, boot_stack_bottom, image_end, EARLY_RW, image_pa);
    if (fdt_pa && fdt_pa < DIRECT_SIZE) {
        // The tree's surroundings, as RAM: the direct map keeps what is mapped here.
        ok = ok && early_map_around(&m, DIRECT_VA, (struct early_range){fdt, fdt + FDT_WINDOW},
                                    boot_sealed_part(image_pa));
    }
    if (board_early.uart_base) {
        ok = ok && early_map(&m, EARLY_UART_VA, board_early.uart_base, PAGE_SIZE, EARLY_DEVICE);
    }
    if (!ok) {
        for (;;) {
            asm volatile("wfi");
        }
    }
    boot_tables = m;
    return m.root;
}

void boot_main(uint64_t image_pa, uint64_t fdt_pa)
{
    static struct boot_info bi;

    image_offset = IMAGE_VA - image_pa;
    boot_tables.to_pointer = image_offset;
    if (board_early.uart_base) {
        early_uart = (volatile uint32_t *)EARLY_UART_VA;
    }
    bi.image = (struct boot_range){hpa(image_pa), (uint64_t)(image_end - image_start)};
    bi.fdt = hpa(fdt_pa);
    bi.boot_cpu_hw_id = sysreg_read(mpidr_el1) & MPIDR_AFF_MASK;
    bi.boot_ticks = arch_time_now();
    kernel_main(&bi);
}

static void uart_put(volatile uint32_t *uart, char c)
{
    while (uart[UART_FR / 4] & UART_FR_TXFF) {
        asm volatile("yield");
    }
    uart[UART_DR / 4] = (uint32_t)(unsigned char)c;
}

void arch_early_putc(char c)
{
    if (!early_uart) {
        return;
    }
    if (c == '\n') {
        uart_put(early_uart, '\r');
    }
    uart_put(early_uart, c);
}

// MMU off, EL1: nothing works but the board's UART.
void boot_say_no_el2(void)
{
    static const char text[] =
        "\r\nLodge: the CPU started in EL1, but a hypervisor needs EL2.\r\n"
        "Under QEMU add `-M virt,virtualization=on`; on a board look for a firmware that enters EL2\r\n"
        "(U-Boot and TF-A do) or for a setting that keeps another hypervisor away.\r\n";
    volatile uint32_t *uart = (volatile uint32_t *)(uintptr_t)board_early.uart_base;

    for (const char *p = text; uart && *p; p++) {
        uart_put(uart, *p);
    }
}

// MMU off, EL3: all interrupts belong to the non-secure world (Arm IHI 0069, 12.9 and 12.11; IHI 0048, 4.3.4).
void boot_el3_gic(void)
{
    volatile uint32_t *gicd = (volatile uint32_t *)(uintptr_t)board_early.gicd_base;
    volatile uint32_t *gicr = (volatile uint32_t *)(uintptr_t)board_early.gicr_base;

    if (!gicd) {
        return;
    }
    uint32_t words = (gicd[1] & 31) + 1; // GICD_TYPER.ITLinesNumber
    for (uint32_t i = 0; i < words; i++) {
        gicd[0x80 / 4 + i] = UINT32_MAX; // GICD_IGROUPR<n>
    }
    if (gicr) {
        gicd[0] = 0x37;                          // ARE_NS, ARE_S, all groups
        gicr[0x14 / 4] &= ~2u;                   // GICR_WAKER.ProcessorSleep
        gicr[(0x10000 + 0x80) / 4] = UINT32_MAX; // GICR_IGROUPR0
    }
}
