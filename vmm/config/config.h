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

enum console_mode { CONSOLE_MERGED, CONSOLE_FOCUS };
enum on_last_stop { LAST_STOP_STAY, LAST_STOP_POWEROFF };
enum on_crash { CRASH_STOP, CRASH_RESTART, CRASH_REBOOT_HOST };
enum boot_source { BOOT_EMBED, BOOT_FAT };
enum region_kind { REGION_RAM, REGION_ROM, REGION_SHARED };
enum gic_version { GIC_AUTO, GIC_V2, GIC_V3 };
enum timer_mode { TIMER_DIRECT, TIMER_TRAP };

// The models a TOML may name, and those that every virtual board has.
enum vdev_model { MODEL_UART, MODEL_RTC, MODEL_VIRTIO_CONSOLE, MODEL_VIRTIO_BLK, MODEL_COUNT };

// Where a value was written, for messages at run time: "two-guests.toml:12".
struct config_where {
    char file[48];
    uint32_t line;
};

struct region_config {
    uint64_t base;
    uint64_t size;
    enum region_kind kind;
    bool has_base; // without: placed by the plan
    char share[CONFIG_NAME_MAX];
};

struct device_config {
    enum vdev_model model;
    char backend[CONFIG_PATH_MAX]; // "fat:/disk.img", "ram:name", "embed:name"; empty: the model's default
    bool read_only;
    bool has_base, has_irq;
    uint64_t base;
    uint32_t irq;
    struct config_where where;
};

// Addresses of the virtual board; 0 in `has` means the architecture's default ([vm.board] in TOML).
struct board_config {
    uint32_t has; // bits by enum board_key
    uint64_t value[8];
};
enum board_key { BOARD_GICD, BOARD_GICR, BOARD_GICC, BOARD_GITS, BOARD_UART, BOARD_RTC, BOARD_VIRTIO, BOARD_KEY_COUNT };

struct boot_config {
    enum boot_source source;
    char kernel[CONFIG_PATH_MAX]; // catalogue name or path, ${arch} expanded; embedded: the key in the embedded table
    char initrd[CONFIG_PATH_MAX];
    char dtb[CONFIG_PATH_MAX];
    char cmdline[CONFIG_CMDLINE_MAX];
    bool has_load, has_entry; // raw images
    uint64_t load, entry;
};

struct vm_config {
    char name[CONFIG_NAME_MAX];
    unsigned cpus;
    uint64_t memory; // bytes, sum of RAM
    unsigned region_count;
    struct region_config regions[CONFIG_REGION_MAX];
    enum on_crash on_crash;
    struct boot_config boot;
    struct {
        unsigned pcpu_count; // 0: any
        uint16_t pcpus[CONFIG_PCPU_MAX];
        uint8_t priority;
    } sched;
    enum gic_version gic;
    enum timer_mode timer;
    struct board_config board;
    unsigned device_count;
    struct device_config devices[CONFIG_DEVICE_MAX];
    bool autostart;
    struct config_where where; // of its [[vm]]
    bool refused;              // an error concerns this VM alone: the others may start
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
    char text[200];
};

struct config_errors {
    unsigned count; // may exceed ARRAY_SIZE(list): then only the first are kept
    struct config_error list[64];
};

// What the checks may ask about the world; NULL members mean "cannot tell here". Pure otherwise.
struct config_env {
    const char *arch; // "aarch64"
    uint64_t ram_free; // bytes, 0: unknown
    unsigned cpu_count; // 0: unknown
    bool (*embedded_exists)(const char *key, void *ctx);
    bool (*file_exists)(const char *path, void *ctx); // on the FAT disk
    void *ctx;
};

// Parses and checks one or more TOML texts (later ones add VMs; [host] keys may come once). `arena` is scratch memory for the documents.
// Returns OK when no error was found; E_CONFIG with all errors listed and `out` filled with what is good.
struct config_source {
    const char *name;
    const char *text;
    size_t len;
};
enum status config_load(struct config *out, const struct config_source *sources, unsigned count,
                        const struct config_env *env, void *arena, size_t arena_size, struct config_errors *errors);
