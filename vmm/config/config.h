// SPDX-License-Identifier: Apache-2.0
//
// The configuration as the rest of Lodge sees it: what the TOML says after all checks, with defaults filled in.
//
// Pure data: strings are copied, no pointer into the document remains. docs/config.md describes every key.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/log/log.h"

#define CONFIG_VM_MAX 64
#define CONFIG_NAME_MAX 32
#define CONFIG_PATH_MAX 160
#define CONFIG_CMDLINE_MAX 512
#define CONFIG_REGION_MAX 8
#define CONFIG_DEVICE_MAX 16
#define CONFIG_PCPU_MAX 32

enum console_mode {
    CONSOLE_MERGED,
    CONSOLE_FOCUS
};
enum on_last_stop {
    LAST_STOP_STAY,
    LAST_STOP_POWEROFF
};
enum on_crash {
    CRASH_STOP,
    CRASH_RESTART,
    CRASH_REBOOT_HOST
};
enum boot_source {
    BOOT_EMBED,
    BOOT_FAT
};
enum region_kind {
    REGION_RAM,
    REGION_ROM,
    REGION_SHARED
};
enum gic_version {
    GIC_AUTO,
    GIC_V2,
    GIC_V3
};
enum irqchip_kind {
    IRQCHIP_AUTO,
    IRQCHIP_PLIC,
    IRQCHIP_AIA
};
enum timer_mode {
    TIMER_DIRECT,
    TIMER_TRAP
};

// The models a TOML may name, and those that every virtual board has.
enum vdev_model {
    MODEL_UART,
    MODEL_RTC,
    MODEL_VIRTIO_CONSOLE,
    MODEL_VIRTIO_BLK,
    MODEL_COUNT
};

// Where a value was written, for messages at run time: "two-guests.toml:12".
struct config_where {
    char file[48];
    uint32_t line;
};

// A place in the VM's file, for messages about one key. Zero: the key is not there.
struct config_pos {
    uint32_t line, column;
};

struct region_config {
    uint64_t base;
    uint64_t size;
    enum region_kind kind;
    bool has_base; // without: placed by the plan
    char share[CONFIG_NAME_MAX];
    struct config_pos pos; // of the region
};

struct device_config {
    enum vdev_model model;
    // "fat:/disk.img": a file on the FAT disk. "embed:key": a file of the embedded table, read-only. "ram:key": a copy of
    // one in memory; "ram:": an empty disk of `size` bytes in memory. Empty: the model's default.
    char backend[CONFIG_PATH_MAX];
    uint64_t size; // bytes, of a disk that is made new; 0: not given
    bool read_only;
    bool has_base, has_irq;
    uint64_t base;
    uint32_t irq; // as the board counts: aarch64 SPI n, riscv64 source n, x86_64 GSI n
    struct config_where where;
    struct config_pos pos;         // of the device
    struct config_pos base_pos;    // of its `base`
    struct config_pos irq_pos;     // of its `irq`
    struct config_pos backend_pos; // of its `backend`
};

// Addresses and interrupts of the virtual board ([vm.board] in TOML). A bit of `has` that is 0 means the
// architecture's default. Interrupts count as device_config.irq does.
enum board_key {
    BOARD_GICD,
    BOARD_GICR,
    BOARD_GICC,
    BOARD_GITS,
    BOARD_UART,
    BOARD_RTC,
    BOARD_VIRTIO,
    BOARD_UART_IRQ,
    BOARD_RTC_IRQ,
    BOARD_VIRTIO_IRQ, // of slot 0
    BOARD_PLIC,
    BOARD_APLIC,
    BOARD_IMSIC,
    BOARD_KEY_COUNT
};

struct board_config {
    uint32_t has; // bits by enum board_key
    uint64_t value[BOARD_KEY_COUNT];
    struct config_pos pos[BOARD_KEY_COUNT];
};

struct boot_config {
    enum boot_source source;
    // After the checks: the key in the embedded table ("debian/kernel", or the path as written), or the absolute path on
    // the FAT disk. ${arch} is expanded. Empty: none.
    char kernel[CONFIG_PATH_MAX];
    char initrd[CONFIG_PATH_MAX];
    char dtb[CONFIG_PATH_MAX];
    char cmdline[CONFIG_CMDLINE_MAX];
    bool has_load, has_entry; // raw images
    uint64_t load, entry;
    struct config_pos kernel_pos, initrd_pos, dtb_pos;
};

struct vm_config {
    char name[CONFIG_NAME_MAX];
    unsigned cpus;
    uint64_t memory; // bytes, sum of RAM
    unsigned region_count;
    struct region_config regions[CONFIG_REGION_MAX];
    enum on_crash on_crash;
    unsigned restart_limit; // crashes in a row after which on_crash = "restart" gives up
    struct boot_config boot;
    struct {
        unsigned pcpu_count; // 0: any
        uint16_t pcpus[CONFIG_PCPU_MAX];
        uint8_t priority;
        uint32_t weight;               // 100: an ordinary share
        uint64_t budget_us, period_us; // of each vCPU; 0: no limit
    } sched;
    enum gic_version gic;
    enum irqchip_kind irqchip; // riscv64; auto is the PLIC
    enum timer_mode timer;
    struct board_config board;
    unsigned device_count;
    struct device_config devices[CONFIG_DEVICE_MAX];
    bool autostart;
    struct config_where where; // of its [[vm]]
    struct config_pos cpus_pos, memory_pos, gic_pos, irqchip_pos, pcpus_pos, budget_pos, period_pos;
    bool refused; // an error concerns this VM alone: the others may start
};

struct host_config {
    enum console_mode console;
    enum log_level log;
    bool fat_config;
    enum on_last_stop on_last_stop;
    unsigned cpus; // at most so many; 0: all
};

struct config {
    struct host_config host;
    unsigned vm_count;
    struct vm_config vms[CONFIG_VM_MAX];
};

// One complaint. `text` is complete: key, rule, and what to do.
struct config_error {
    char file[48];
    uint32_t line, column;
    bool fatal_for_all; // concerns [host] or the syntax; else only the VM `vm`
    char vm[CONFIG_NAME_MAX];
    char text[240];
};

struct config_errors {
    unsigned count; // may exceed ARRAY_SIZE(list): then only the first are kept
    struct config_error list[64];
};

// What the checks may ask about the world; NULL members mean "cannot tell here". Pure otherwise.
struct config_env {
    const char *arch;   // "aarch64"
    uint64_t ram_free;  // bytes, 0: unknown
    unsigned cpu_count; // 0: unknown
    bool (*embedded_exists)(const char *key, void *ctx);
    bool (*file_exists)(const char *path, void *ctx);      // on the FAT disk; absolute path
    uint64_t (*embedded_size)(const char *key, void *ctx); // bytes of one that exists
    // VMs that exist already, to which the new ones must fit: their names and disks are taken.
    const struct vm_config *const *living;
    unsigned living_count;
    bool makes_disks; // missing files behind `fat:` will be made (vmconf): they need not exist
    void *ctx;
};

struct config_source {
    const char *name; // of the file, for messages
    const char *text;
    size_t len;
};

// Parses and checks one or more TOML texts (later ones add VMs; each [host] key may come once), plan_build() included.
// `arena` is scratch memory for one document and the plan: 16 bytes of it for each byte of the longest text, and 64 KiB,
// are plenty; unless it is too small nothing else is allocated. Worker thread or boot, no locks.
//
// OK when no error was found. E_CONFIG: all errors are listed, `out` is filled with what is good: VMs with an error are
// there with `refused` set, wrong [host] keys keep their default. E_INVAL: env->arch is unknown.
enum status config_load(struct config *out, const struct config_source *sources, unsigned count,
                        const struct config_env *env, void *arena, size_t arena_size,
                        struct config_errors *errors);

// Adds a complaint; `pos` may be NULL or {0, 0} (line unknown), `vm` NULL when it concerns all. Marks nothing refused.
__attribute__((format(printf, 5, 6))) void config_complain(struct config_errors *errors, const char *file,
                                                           const struct config_pos *pos, const char *vm,
                                                           const char *fmt, ...);

// One line for people: "two-guests.toml:12:3: vm 'linux': boot.kernel: …". Returns buf.
char *config_error_format(char *buf, size_t size, const struct config_error *error);

const char *vdev_model_name(enum vdev_model model); // as in TOML
