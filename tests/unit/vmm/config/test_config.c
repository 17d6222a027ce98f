// SPDX-License-Identifier: Apache-2.0
//
// Configuration: defaults, every rule of the schema with its place, the rules between keys and between VMs.
#include "vmm/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config config;
static struct config_errors errors;
static _Alignas(16) char arena[256 * 1024];

#define BOOT "[vm.boot]\nkernel = \"debian\"\n"
#define VM "[[vm]]\nname = \"a\"\nmemory = \"64M\"\n"

static struct config_env env = {.arch = "aarch64"};

static enum status load2(const char *one, const char *two)
{
    struct config_source sources[] = {{"one.toml", one, strlen(one)}, {"two.toml", two, strlen(two)}};

    return config_load(&config, sources, two[0] ? 2 : 1, &env, arena, sizeof(arena), &errors);
}

static enum status load(const char *text)
{
    return load2(text, "");
}

static void show_errors(void)
{
    char line[400];

    for (unsigned i = 0; i < errors.count && i < ARRAY_SIZE(errors.list); i++) {
        print_message("  %s\n", config_error_format(line, sizeof(line), &errors.list[i]));
    }
}

static void good(const char *text)
{
    if (load(text) != OK) {
        show_errors();
        fail_msg("refused: %s", text);
    }
    assert_int_equal(errors.count, 0);
}

// Exactly one complaint, at this place, saying this; line 0: anywhere.
static void bad(const char *text, unsigned line, unsigned column, const char *says)
{
    const struct config_error *e = &errors.list[0];

    assert_int_equal(load(text), E_CONFIG);
    if (errors.count != 1 || !strstr(e->text, says) || (line && (e->line != line || e->column != column))) {
        show_errors();
        fail_msg("wanted %u:%u: %s from:\n%s", line, column, says, text);
    }
    assert_string_equal(e->file, "one.toml");
}

static int setup(void **state)
{
    (void)state;
    memset(&config, 0xA5, sizeof(config)); // what config_load() must not rely on
    env = (struct config_env){.arch = "aarch64"};
    return 0;
}

// ---- good ones ----

static void test_defaults(void **state)
{
    const struct vm_config *vm = &config.vms[0];

    (void)state;
    good(VM BOOT);
    assert_int_equal(config.host.console, CONSOLE_MERGED);
    assert_int_equal(config.host.log, LOG_INFO);
    assert_true(config.host.fat_config);
    assert_int_equal(config.host.on_last_stop, LAST_STOP_STAY);
    assert_int_equal(config.host.cpus, 0);
    assert_int_equal(config.vm_count, 1);
    assert_string_equal(vm->name, "a");
    assert_int_equal(vm->cpus, 1);
    assert_int_equal(vm->memory, MIB(64));
    assert_int_equal(vm->region_count, 0);
    assert_int_equal(vm->on_crash, CRASH_STOP);
    assert_int_equal(vm->boot.source, BOOT_EMBED);
    assert_string_equal(vm->boot.kernel, "debian/kernel");
    assert_string_equal(vm->boot.initrd, "");
    assert_int_equal(vm->sched.priority, 8);
    assert_int_equal(vm->sched.pcpu_count, 0);
    assert_int_equal(vm->gic, GIC_AUTO);
    assert_int_equal(vm->timer, TIMER_DIRECT);
    assert_int_equal(vm->device_count, 0);
    assert_true(vm->autostart);
    assert_false(vm->refused);
    assert_string_equal(vm->where.file, "one.toml");
    assert_int_equal(vm->where.line, 1);
}

static void test_all_keys(void **state)
{
    const struct vm_config *vm = &config.vms[0];

    (void)state;
    good("[host]\nconsole = \"focus\"\nlog = \"debug\"\nfat_config = \"off\"\non_last_stop = "
         "\"poweroff\"\ncpus = 4\n"
         "[[vm]]\nname = \"Big.one-1\"\ncpus = 3\non_crash = \"reboot-host\"\nautostart = false\ngic = "
         "\"v3\"\n"
         "timer = \"direct\"\n"
         "[[vm.memory]]\nbase = 0x4000_0000\nsize = \"1G\"\n[[vm.memory]]\nsize = 0x20_0000\nkind = "
         "\"shared\"\n"
         "share = \"ring\"\n[[vm.memory]]\nsize = \"64K\"\nkind = \"rom\"\n"
         "[vm.boot]\nsource = \"fat\"\nkernel = \"x/Image-${arch}\"\ninitrd = \"/i.gz\"\ndtb = \"a.dtb\"\n"
         "cmdline = \"quiet root=/dev/vda\"\nload = 0x4008_0000\nentry = 0x4008_0040\n"
         "[vm.sched]\npcpus = [0, 3]\npriority = 23\n"
         "[vm.board]\ngicd = 0x0900_0000\nuart = 0x0A01_0000\nuart_irq = 40\n"
         "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"fat:d.img\"\nsize = \"1G\"\nread_only = true\n"
         "[[vm.device]]\nmodel = \"virtio-console\"\nbase = 0x0B00_0000\nirq = 50\n");
    assert_int_equal(config.host.console, CONSOLE_FOCUS);
    assert_int_equal(config.host.log, LOG_DEBUG);
    assert_false(config.host.fat_config);
    assert_int_equal(config.host.on_last_stop, LAST_STOP_POWEROFF);
    assert_int_equal(config.host.cpus, 4);
    assert_int_equal(vm->cpus, 3);
    assert_int_equal(vm->on_crash, CRASH_REBOOT_HOST);
    assert_false(vm->autostart);
    assert_int_equal(vm->gic, GIC_V3);
    assert_int_equal(vm->timer, TIMER_DIRECT);
    assert_int_equal(vm->region_count, 3);
    assert_int_equal(vm->memory, GIB(1)); // RAM alone
    assert_true(vm->regions[0].has_base);
    assert_false(vm->regions[1].has_base);
    assert_string_equal(vm->regions[1].share, "ring");
    assert_int_equal(vm->regions[2].kind, REGION_ROM);
    assert_int_equal(vm->boot.source, BOOT_FAT);
    assert_string_equal(vm->boot.kernel, "/x/Image-aarch64");
    assert_string_equal(vm->boot.initrd, "/i.gz");
    assert_string_equal(vm->boot.dtb, "/a.dtb");
    assert_string_equal(vm->boot.cmdline, "quiet root=/dev/vda");
    assert_true(vm->boot.has_load && vm->boot.has_entry);
    assert_int_equal(vm->boot.entry, 0x40080040);
    assert_int_equal(vm->sched.pcpus[1], 3);
    assert_int_equal(vm->sched.priority, 23);
    assert_int_equal(vm->board.value[BOARD_UART_IRQ], 40);
    assert_int_equal(vm->board.has, 1u << BOARD_GICD | 1u << BOARD_UART | 1u << BOARD_UART_IRQ);
    assert_string_equal(vm->devices[0].backend, "fat:/d.img");
    assert_int_equal(vm->devices[0].size, GIB(1));
    assert_true(vm->devices[0].read_only);
    assert_true(vm->devices[1].has_base && vm->devices[1].has_irq);
    assert_int_equal(vm->devices[1].where.line, 44);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t want;
    } rows[] = {{"\"2M\"", MIB(2)},  {"\"2048K\"", MIB(2)}, {"\"1G\"", GIB(1)},      {"\"4194304\"", MIB(4)},
                {"4194304", MIB(4)}, {"0x40_0000", MIB(4)}, {"\"16384K\"", MIB(16)}, {"\"002M\"", MIB(2)}};
    char text[200];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        (void)snprintf(text, sizeof(text), "[[vm]]\nname = \"a\"\nmemory = %s\n" BOOT, rows[i].text);
        good(text);
        assert_int_equal(config.vms[0].memory, rows[i].want);
    }
}

// The same text on all three architectures.
static void test_no_addresses_anywhere(void **state)
{
    static const char *const archs[] = {"aarch64", "riscv64", "x86_64"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(archs); i++) {
        env.arch = archs[i];
        good(VM BOOT
             "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"fat:/a.img\"\n[vm.sched]\npcpus = [0]\n");
    }
    env.arch = "z80";
    assert_int_equal(load(VM BOOT), E_INVAL);
}

// ---- one key wrong ----

static void test_unknown_keys(void **state)
{
    (void)state;
    bad("[hots]\nlog = \"info\"\n" VM BOOT, 1, 2, "hots: unknown key, did you mean 'host'?");
    bad("[host]\nlgo = \"info\"\n" VM BOOT, 2, 1, "host.lgo: unknown key, did you mean 'log'?");
    bad(VM "memroy = 1\n" BOOT, 4, 1, "vm.memroy: unknown key, did you mean 'memory'?");
    bad(VM "zzz = 1\n" BOOT, 4, 1, "vm.zzz: unknown key; here may stand: name, cpus, memory");
    bad(VM BOOT "kernal = \"x\"\n", 6, 1, "vm.boot.kernal: unknown key, did you mean 'kernel'?");
    bad(VM BOOT "[vm.sched]\nprio = 1\n", 7, 1, "vm.sched.prio: unknown key");
    bad(VM BOOT "[vm.board]\ngicq = 1\n", 7, 1, "did you mean 'gic");
    bad(VM BOOT "[[vm.device]]\nmodel = \"rtc\"\nbakend = \"\"\n", 8, 1, "did you mean 'backend'?");
    bad("[[vm]]\nname = \"a\"\n" BOOT "[[vm.memory]]\nsize = \"64M\"\nbsae = 0\n", 7, 1,
        "did you mean 'base'?");
}

static void test_wrong_types(void **state)
{
    (void)state;
    bad("host = 1\n" VM BOOT, 1, 8, "host: must be a table, not an integer");
    bad("[vm]\nname = \"a\"\n", 1, 2, "must be an array of tables: write [[vm]]");
    bad("vm = [1]\n", 1, 7, "vm: must be a table, not an integer");
    bad("[host]\nlog = 1\n" VM BOOT, 2, 7, "host.log: must be a string, not an integer");
    bad(VM "cpus = \"1\"\n" BOOT, 4, 8, "vm.cpus: must be an integer, not a string");
    bad(VM "cpus = 1.0\n" BOOT, 4, 8, "not a float");
    bad(VM "autostart = \"yes\"\n" BOOT, 4, 13, "must be true or false, not a string");
    bad(VM "boot = 1\n", 4, 8, "vm.boot: must be a table");
    bad(VM "board = []\n" BOOT, 4, 9, "vm.board: must be a table");
    bad(VM BOOT "cmdline = 1979-05-27\n", 6, 11, "vm.boot.cmdline: must be a string, not a local date");
    bad("[[vm]]\nname = \"a\"\nmemory = true\n" BOOT, 3, 10, "must be a size such as");
    bad("[[vm]]\nname = \"a\"\nmemory = [1]\n" BOOT, 3, 11, "or [[vm.memory]] tables");
    bad(VM BOOT "[vm.sched]\npcpus = 1\n", 7, 9, "must be an array of CPU numbers");
    bad(VM BOOT "[vm.sched]\npcpus = [\"0\"]\n", 7, 10, "must be an integer");
    bad(VM BOOT "[vm.device]\nmodel = \"rtc\"\n", 6, 5, "write [[vm.device]]");
}

static void test_ranges(void **state)
{
    (void)state;
    bad(VM "cpus = 0\n" BOOT, 4, 8, "vm.cpus: 0 is outside 1 to 512");
    bad(VM "cpus = -1\n" BOOT, 4, 8, "must not be negative");
    bad(VM "cpus = 513\n" BOOT, 4, 8, "outside 1 to 512");
    bad("[host]\ncpus = 257\n" VM BOOT, 2, 8, "outside 1 to 256");
    bad(VM BOOT "[vm.sched]\npriority = 24\n", 7, 12, "outside 1 to 23");
    bad(VM BOOT "[vm.sched]\nweight = 0\n", 7, 10, "outside 1 to 1000");
    bad(VM BOOT "[vm.sched]\nweight = 1001\n", 7, 10, "outside 1 to 1000");
    bad(VM BOOT "[vm.sched]\nperiod = \"2s\"\nbudget = \"1ms\"\n", 7, 10, "outside 100us to 1s");
    bad(VM BOOT "[vm.sched]\nperiod = \"1ms\"\nbudget = \"49us\"\n", 8, 10, "outside 50us to 1s");
    bad(VM BOOT "[vm.sched]\npriority = 0\n", 7, 12, "outside 1 to 23");
    bad(VM BOOT "[vm.sched]\npcpus = [256]\n", 7, 10, "outside 0 to 255");
    bad(VM BOOT "[vm.sched]\npcpus = [1, 2, 1]\n", 7, 16, "CPU 1 is named twice");
    bad(VM BOOT "[vm.sched]\npcpus = []\n", 7, 9, "names no CPU");
    bad(VM BOOT "[vm.board]\ngicr = 0x0900_1000\n", 7, 8, "no multiple of 0x10000");
    bad(VM BOOT "[vm.board]\nuart = 0x100_0000_0000\n", 7, 8, "is outside 0x0 to 0xffffffffff");
    bad(VM BOOT "[vm.board]\nuart_irq = 256\n", 7, 12, "outside 0 to 255");
    bad(VM BOOT "[vm.board]\ngits = 0x0808_0000\n", 7, 8, "no interrupt translation service");
    bad(VM BOOT "load = 0x4000_0002\n", 6, 8, "no multiple of 0x4");
    bad("[host]\nconsole = \"mixed\"\n" VM BOOT, 2, 11, "\"mixed\" is not one of: merged, focus");
    bad("[host]\nlog = \"inof\"\n" VM BOOT, 2, 7, "did you mean 'info'?");
    bad(VM "on_crash = \"Restart\"\n" BOOT, 4, 12, "did you mean 'restart'?");
    bad(VM BOOT "[[vm.device]]\nmodel = \"virtio-block\"\n", 7, 9, "did you mean 'virtio-blk'?");
}

static void test_budgets(void **state)
{
    (void)state;
    good(VM BOOT);
    assert_int_equal(config.vms[0].sched.weight, 100);
    assert_int_equal(config.vms[0].sched.budget_us, 0);
    good(VM BOOT "[vm.sched]\nbudget = \"5ms\"\nperiod = \"1s\"\nweight = 1000\n");
    assert_int_equal(config.vms[0].sched.budget_us, 5000);
    assert_int_equal(config.vms[0].sched.period_us, 1000000);
    assert_int_equal(config.vms[0].sched.weight, 1000);
    good(VM BOOT "[vm.sched]\nbudget = \"250us\"\nperiod = \"250us\"\n");
    assert_int_equal(config.vms[0].sched.budget_us, 250);
    bad(VM BOOT "[vm.sched]\nbudget = \"5ms\"\n", 7, 10, "needs a period");
    bad(VM BOOT "[vm.sched]\nperiod = \"5ms\"\n", 7, 10, "needs a budget");
    bad(VM BOOT "[vm.sched]\nbudget = \"5ms\"\nperiod = \"4ms\"\n", 7, 10, "longer than the period");
    bad(VM BOOT "[vm.sched]\nperiod = \"1ms\"\nbudget = \"5m\"\n", 8, 10, "must be a time");
    bad(VM BOOT "[vm.sched]\nperiod = \"1ms\"\nbudget = \"ms\"\n", 8, 10, "must be a time");
    bad(VM BOOT "[vm.sched]\nperiod = \"1ms\"\nbudget = 5\n", 8, 10, "must be a string");
    bad(VM BOOT "[vm.sched]\nperiod = \"1ms\"\nbudget = \"99999999999999999999s\"\n", 8, 10, "");
}

static void test_bad_sizes(void **state)
{
    static const char *const words[] = {"",     "M",    "64m",   "64MB", "64 M",
                                        "-64M", "6.4M", "0x40M", "64M ", "20000000000G"};
    char text[200];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        (void)snprintf(text, sizeof(text), "[[vm]]\nname = \"a\"\nmemory = \"%s\"\n" BOOT, words[i]);
        bad(text, 3, 10, "is no size");
    }
    bad("[[vm]]\nname = \"a\"\nmemory = \"64M\\u0000\"\n" BOOT, 3, 10, "is no size");
    bad("[[vm]]\nname = \"a\"\nmemory = \"1M\"\n" BOOT, 3, 10, "vm.memory: 0x100000 is outside 0x200000");
    bad("[[vm]]\nname = \"a\"\nmemory = \"2T\"\n" BOOT, 3, 10, "is outside");
    bad("[[vm]]\nname = \"a\"\nmemory = 4194305\n" BOOT, 3, 10, "no multiple of 0x1000");
}

static void test_missing_keys(void **state)
{
    (void)state;
    bad("[[vm]]\nmemory = \"64M\"\n" BOOT, 1, 3, "vm.name: is missing");
    bad("[[vm]]\nname = \"a\"\n" BOOT, 1, 3, "vm.memory: is missing");
    bad(VM, 1, 3, "vm.boot: is missing");
    bad(VM "[vm.boot]\nsource = \"fat\"\n", 4, 5, "vm.boot.kernel: is missing");
    bad(VM BOOT "[[vm.device]]\nbackend = \"\"\n", 6, 6, "vm.device.model: is missing");
    bad("[[vm]]\nname = \"a\"\n" BOOT "[[vm.memory]]\nsize = \"64M\"\n[[vm.memory]]\nbase = 0\n", 7, 6,
        "vm.memory.size: is missing");
}

static void test_names_and_strings(void **state)
{
    char text[1200] = VM BOOT "cmdline = \"";

    (void)state;
    bad("[[vm]]\nname = \"\"\nmemory = \"64M\"\n" BOOT, 2, 8, "vm.name: must be letters");
    bad("[[vm]]\nname = \"-a\"\nmemory = \"64M\"\n" BOOT, 2, 8, "vm.name: must be letters");
    bad("[[vm]]\nname = \"a]b\"\nmemory = \"64M\"\n" BOOT, 2, 8, "vm.name: must be letters");
    bad("[[vm]]\nname = \"a\\u001b\"\nmemory = \"64M\"\n" BOOT, 2, 8, "control characters");
    bad("[[vm]]\nname = \"a2345678901234567890123456789012\"\nmemory = \"64M\"\n" BOOT, 2, 8,
        "longer than 31 bytes");
    bad(VM BOOT "cmdline = \"a\\nb\"\n", 6, 11, "control characters");
    memset(text + strlen(text), 'x', 512);
    strcat(text, "\"\n");
    bad(text, 6, 11, "longer than 511 bytes");
}

static void test_paths(void **state)
{
    char text[400] = VM "[vm.boot]\nkernel = \"";

    (void)state;
    good(VM "[vm.boot]\nkernel = \"build/${arch}/a.bin\"\n");
    assert_string_equal(config.vms[0].boot.kernel, "build/aarch64/a.bin");
    good(VM "[vm.boot]\nkernel = \"a..b/c$\"\n");
    bad(VM "[vm.boot]\nkernel = \"${home}/x\"\n", 5, 10, "only ${arch} can be expanded");
    bad(VM "[vm.boot]\nkernel = \"../x\"\n", 5, 10, "'..' is not allowed");
    bad(VM "[vm.boot]\nkernel = \"a/..\"\n", 5, 10, "'..' is not allowed");
    bad(VM BOOT "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"fat:../x\"\n", 8, 11,
        "'..' is not allowed");
    bad(VM "[vm.boot]\nkernel = \"\"\n", 5, 10, "vm.boot.kernel: is empty");
    memset(text + strlen(text), 'x', 155);
    strcat(text, "\"\n");
    bad(text, 5, 10, "too long"); // with "/kernel" behind it
    good(VM "[vm.boot]\nkernel = \"heartbeat\"\ninitrd = \"debian\"\ndtb = \"debian\"\n");
    assert_string_equal(config.vms[0].boot.initrd, "debian/initrd");
    assert_string_equal(config.vms[0].boot.dtb, "debian/dtb");
}

// ---- rules between keys ----

static void test_regions(void **state)
{
#define REGION(text) \
    "[[vm]]\nname = \"a\"\n" BOOT "[[vm.memory]]\nsize = \"64M\"\n[[vm.memory]]\nsize = \"64K\"\n" text
    (void)state;
    good(REGION("kind = \"shared\"\nshare = \"x\"\n"));
    bad(REGION("kind = \"shared\"\n"), 7, 6, "needs the name");
    bad(REGION("kind = \"shared\"\nshare = \"a b\"\n"), 7, 6, "needs the name");
    bad(REGION("share = \"x\"\n"), 7, 6, "only for kind = \"shared\"");
    bad(REGION("base = 0x123\n"), 9, 8, "no multiple of 0x1000");
    bad("[[vm]]\nname = \"a\"\n" BOOT
        "[[vm.memory]]\nsize = \"1M\"\n[[vm.memory]]\nsize = \"64M\"\nkind = \"rom\"\n",
        0, 0, "1024 KiB of RAM are too little");
}

static void test_devices(void **state)
{
#define DEVICE(text) VM BOOT "[[vm.device]]\n" text
    (void)state;
    good(DEVICE("model = \"uart\"\nbackend = \"console\"\n"));
    good(DEVICE("model = \"virtio-console\"\n"));
    good(DEVICE("model = \"virtio-blk\"\nbackend = \"ram:\"\nsize = \"4M\"\n"));
    good(DEVICE("model = \"virtio-blk\"\nbackend = \"embed:debian\"\n"));
    assert_string_equal(config.vms[0].devices[0].backend, "embed:debian/disk");
    assert_true(config.vms[0].devices[0].read_only);
    good(DEVICE("model = \"virtio-blk\"\nbackend = \"ram:img/a.img\"\n"));
    assert_string_equal(config.vms[0].devices[0].backend, "ram:img/a.img");
    bad(DEVICE("model = \"virtio-blk\"\n"), 6, 6, "backend: is missing");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"file:x\"\n"), 8, 11, "\"file:x\" is not");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"fat:\"\n"), 8, 11, "needs a file");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"fat:/\"\n"), 8, 11, "needs a file");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"ram:\"\n"), 8, 11, "vm.device.size: is missing");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"embed:\"\n"), 8, 11, "is not");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"ram:x\"\nsize = \"1M\"\n"), 8, 11,
        "the size of its file");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"fat:/x\"\nsize = 513\n"), 9, 8, "no multiple of 0x200");
    bad(DEVICE("model = \"rtc\"\nbackend = \"console\"\n"), 8, 11, "does not fit rtc");
    bad(DEVICE("model = \"uart\"\nbackend = \"fat:/x\"\n"), 8, 11, "only \"console\" does");
    bad(DEVICE("model = \"uart\"\nsize = \"1M\"\n"), 6, 6, "virtio-blk only");
    bad(DEVICE("model = \"virtio-console\"\nirq = 256\n"), 8, 7, "SPI 256 is outside 0 to 255");
}

static void test_limits(void **state)
{
    char text[4000] = VM BOOT;

    (void)state;
    for (unsigned i = 0; i < CONFIG_DEVICE_MAX; i++) {
        strcat(text, "[[vm.device]]\nmodel = \"virtio-console\"\n");
    }
    good(text);
    strcat(text, "[[vm.device]]\nmodel = \"virtio-console\"\n");
    bad(text, 6 + 2 * CONFIG_DEVICE_MAX, 6, "more than 16 devices");
    strcpy(text, "[[vm]]\nname = \"a\"\n" BOOT);
    for (unsigned i = 0; i <= CONFIG_REGION_MAX; i++) {
        strcat(text, "[[vm.memory]]\nsize = \"4M\"\n");
    }
    bad(text, 5 + 2 * CONFIG_REGION_MAX, 6, "more than 8 regions");
}

static void test_gic_and_cpus(void **state)
{
    (void)state;
    good(VM "gic = \"v2\"\ncpus = 8\n" BOOT);
    bad(VM "gic = \"v2\"\ncpus = 9\n" BOOT, 4, 7, "8 CPUs at most");
    bad(VM "gic = \"v4\"\n" BOOT, 4, 7, "not one of: auto, v2, v3");
    env.arch = "riscv64";
    bad(VM "gic = \"v3\"\n" BOOT, 4, 7, "riscv64 has no GIC");
    env.arch = "aarch64";
    env.cpu_count = 2;
    good(VM BOOT "[vm.sched]\npcpus = [0, 1]\n");
    bad(VM BOOT "[vm.sched]\npcpus = [1, 2]\n", 7, 9, "there is no CPU 2, the machine has 0 to 1");
}

// ---- files ----

static bool exists(const char *key, void *ctx)
{
    return strstr(ctx, key) != NULL;
}

static void test_files(void **state)
{
    static char have[] = "debian/kernel debian/initrd heart/kernel x.bin /debian/kernel /disk.img";

    (void)state;
    env.embedded_exists = exists;
    env.file_exists = exists;
    env.ctx = have;
    good(VM BOOT);
    assert_string_equal(config.vms[0].boot.initrd, "debian/initrd");
    good(VM BOOT "initrd = \"\"\n");
    assert_string_equal(config.vms[0].boot.initrd, "");
    good(VM "[vm.boot]\nkernel = \"heart\"\n");
    assert_string_equal(config.vms[0].boot.initrd, "");
    good(VM "[vm.boot]\nkernel = \"x.bin\"\n");
    good(VM "[vm.boot]\nsource = \"fat\"\nkernel = \"debian\"\n");
    assert_string_equal(config.vms[0].boot.kernel, "/debian/kernel");
    bad(VM "[vm.boot]\nkernel = \"y.bin\"\n", 5, 10, "'y.bin' is neither in the guest catalogue");
    bad(VM "[vm.boot]\nkernel = \"nobody\"\n", 5, 10, "'nobody/kernel' is neither");
    bad(VM BOOT "initrd = \"nobody\"\n", 6, 10, "vm.boot.initrd: 'nobody/initrd'");
    bad(VM BOOT "dtb = \"a.dtb\"\n", 6, 7, "vm.boot.dtb: 'a.dtb'");
    bad(VM "[vm.boot]\nsource = \"fat\"\nkernel = \"z.bin\"\n", 6, 10, "the FAT disk has no file '/z.bin'");
    good(DEVICE("model = \"virtio-blk\"\nbackend = \"fat:/disk.img\"\n"));
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"fat:/none\"\n"), 8, 11, "has no file '/none'");
    bad(DEVICE("model = \"virtio-blk\"\nbackend = \"embed:none\"\n"), 8, 11, "'none/disk' is neither");
    env.makes_disks = true;
    good(DEVICE("model = \"virtio-blk\"\nbackend = \"fat:/none\"\n"));
}

// ---- several VMs ----

#define VM_B "[[vm]]\nname = \"b\"\nmemory = \"64M\"\n"
#define DISK(file) "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"" file "\"\n"

static void test_one_vm_refused(void **state)
{
    (void)state;
    bad(VM "cpus = 0\n" BOOT VM_B BOOT, 4, 8, "vm.cpus");
    assert_int_equal(config.vm_count, 2);
    assert_true(config.vms[0].refused);
    assert_false(config.vms[1].refused);
    assert_string_equal(errors.list[0].vm, "a");
    assert_false(errors.list[0].fatal_for_all);
    bad("[host]\nlog = 7\n" VM BOOT, 2, 7, "host.log");
    assert_true(errors.list[0].fatal_for_all);
    assert_false(config.vms[0].refused);
    assert_int_equal(config.host.log, LOG_INFO);
}

static void test_all_errors_in_one_run(void **state)
{
    (void)state;
    assert_int_equal(
        load("[host]\nlog = 7\nx = 1\n[[vm]]\nname = \"a\"\nmemory = \"1\"\ncpus = 0\nq = 2\n" BOOT
             "[[vm]]\nname = \"b\"\nmemory = \"64M\"\ntimer = \"no\"\n" BOOT),
        E_CONFIG);
    assert_int_equal(errors.count, 6);
    assert_int_equal(errors.list[0].line, 2);
    assert_int_equal(errors.list[1].line, 3);
    assert_int_equal(errors.list[2].line, 6);
    assert_int_equal(errors.list[3].line, 7);
    assert_int_equal(errors.list[4].line, 8);
    assert_string_equal(errors.list[5].vm, "b");
}

// A missing file hides no mistake of the layout.
static void test_file_and_layout(void **state)
{
    static char have[] = "debian/kernel";

    (void)state;
    env.embedded_exists = exists;
    env.ctx = have;
    assert_int_equal(load(VM "[vm.boot]\nkernel = \"nobody\"\n[vm.board]\nuart = 0x4000_0000\n"), E_CONFIG);
    assert_int_equal(errors.count, 2);
    assert_int_equal(errors.list[0].line, 5); // in the order of the file
    assert_int_equal(errors.list[1].line, 7);
}

static void test_more_errors_than_room(void **state)
{
    static char text[4000] = VM BOOT "[vm.sched]\n";

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        (void)sprintf(text + strlen(text), "unknown%u = 1\n", i);
    }
    assert_int_equal(load(text), E_CONFIG);
    assert_int_equal(errors.count, 100);
}

static void test_syntax_costs_one_file(void **state)
{
    (void)state;
    assert_int_equal(load2("[[vm]\n", VM BOOT), E_CONFIG);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.list[0].file, "one.toml");
    assert_true(errors.list[0].fatal_for_all);
    assert_int_equal(config.vm_count, 1);
    assert_false(config.vms[0].refused);
    assert_string_equal(config.vms[0].where.file, "two.toml");
}

static void test_duplicate_names(void **state)
{
    (void)state;
    bad(VM BOOT "[[vm]]\nname = \"A\"\nmemory = \"64M\"\n" BOOT, 6, 1,
        "'A' is taken by the VM at one.toml:1");
    assert_false(config.vms[0].refused);
    assert_true(config.vms[1].refused);
    assert_int_equal(load2(VM BOOT, VM BOOT), E_CONFIG);
    assert_string_equal(errors.list[0].file, "two.toml");
}

static void test_host_keys_once(void **state)
{
    (void)state;
    assert_int_equal(load2("[host]\nlog = \"warn\"\n", "[host]\ncpus = 1\n" VM BOOT), OK);
    assert_int_equal(config.host.log, LOG_WARN);
    assert_int_equal(config.host.cpus, 1);
    assert_int_equal(load2("[host]\nlog = \"warn\"\n", "[host]\nlog = \"warn\"\n" VM BOOT), E_CONFIG);
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.list[0].text, "host.log: set by another file already"));
    assert_string_equal(errors.list[0].file, "two.toml");
}

static void test_disk_owners(void **state)
{
    (void)state;
    good(VM BOOT DISK("fat:/a.img") VM_B BOOT DISK("fat:/b.img"));
    good(VM BOOT DISK("fat:/a.img") "read_only = true\n" VM_B BOOT DISK("fat:/a.img") "read_only = true\n");
    bad(VM BOOT DISK("fat:/a.img") VM_B BOOT DISK("fat:A.IMG"), 16, 11, "is in use by vm 'a' (one.toml:6)");
    assert_true(config.vms[1].refused);
    bad(VM BOOT DISK("fat:/a.img") VM_B BOOT DISK("fat:/a.img") "read_only = true\n", 16, 11,
        "one writer alone");
    bad(VM BOOT DISK("fat:/a.img") DISK("fat:/a.img"), 11, 11, "is in use by vm 'a'");
    good(VM BOOT DISK("ram:a.img") VM_B BOOT DISK("ram:a.img")); // each gets its own copy
}

static void test_shares(void **state)
{
#define SHARE(name, size)                                                                                    \
    "[[vm]]\nname = \"" name "\"\n" BOOT "[[vm.memory]]\nsize = \"64M\"\n[[vm.memory]]\nkind = \"shared\"\n" \
    "share = \"s\"\nsize = \"" size "\"\n"
    (void)state;
    good(SHARE("a", "64K") SHARE("b", "64K"));
    bad(SHARE("a", "64K") SHARE("b", "128K"), 17, 6,
        "share 's' has 0x20000 bytes here, but 0x10000 in vm 'a'");
}

static uint64_t forty_mib(const char *key, void *ctx)
{
    (void)ctx;
    return strcmp(key, "disk.img") == 0 ? MIB(40) : 0;
}

static void test_machine_memory(void **state)
{
    (void)state;
    env.ram_free = MIB(100);
    bad(VM BOOT VM_B BOOT, 8, 10, "needs 64 MiB, but 36 of the machine's 100 MiB are left");
    assert_false(config.vms[0].refused);
    assert_true(config.vms[1].refused);
    env.ram_free = MIB(128);
    good(VM BOOT VM_B BOOT);
    bad(VM BOOT VM_B BOOT "[[vm]]\nname = \"c\"\nmemory = \"2M\"\n" BOOT, 13, 10,
        "0 of the machine's 128 MiB are left");
    good(SHARE("a", "64K")); // 64 MiB and 64 KiB
    env.ram_free = MIB(128) + KIB(64);
    good(SHARE("a", "64K") SHARE("b", "64K")); // the shared region counts once
    env.ram_free = MIB(100);
    good(VM BOOT DISK("ram:") "size = \"36M\"\n"); // a disk in memory is memory
    bad(VM BOOT DISK("ram:") "size = \"37M\"\n", 3, 10,
        "needs 101 MiB, but 100 of the machine's 100 MiB are left");
    good(VM BOOT DISK("ram:") "size = \"37M\"\nread_only = true\n");
    good(VM BOOT DISK("ram:disk.img")); // nobody knows how large it is
    env.embedded_size = forty_mib;
    bad(VM BOOT DISK("ram:disk.img"), 3, 10, "needs 104 MiB, but 100 of the machine's 100 MiB are left");
    good(VM BOOT DISK("ram:disk.img") "read_only = true\n");
    good(VM BOOT DISK("embed:disk.img"));
}

static void test_too_many_vms(void **state)
{
    static char text[8000];

    (void)state;
    text[0] = '\0';
    for (unsigned i = 0; i <= CONFIG_VM_MAX; i++) {
        (void)sprintf(text + strlen(text), "[[vm]]\nname = \"v%u\"\nmemory = \"4M\"\n" BOOT, i);
    }
    bad(text, 1 + 5 * CONFIG_VM_MAX, 3, "more than 64 virtual machines");
    assert_int_equal(config.vm_count, CONFIG_VM_MAX);
}

static void test_small_arena(void **state)
{
    static const char text[] = VM BOOT;
    struct config_source source = {"one.toml", text, strlen(text)};
    unsigned good_runs = 0;

    (void)state;
    for (size_t size = 0; size < 16384; size += 61) {
        char *block = malloc(size + 1);
        enum status s = config_load(&config, &source, 1, &env, block, size, &errors);

        assert_true(s == OK || s == E_NOMEM ||
                    (s == E_CONFIG && strstr(errors.list[0].text, "memory set aside")));
        good_runs += s == OK;
        free(block);
    }
    assert_true(good_runs > 0);
}

static void test_long_file_name(void **state)
{
    static const char name[] = "/a/very/long/path/that/does/not/fit/the/field/of/an/error/configs/x.toml";
    struct config_source source = {name, "x = 1", 5};
    char line[400];

    (void)state;
    assert_int_equal(config_load(&config, &source, 1, &env, arena, sizeof(arena), &errors), E_CONFIG);
    assert_non_null(strstr(errors.list[0].file, "configs/x.toml"));
    assert_non_null(strstr(config_error_format(line, sizeof(line), &errors.list[0]),
                           "configs/x.toml:1:1: x: unknown key"));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_all_keys),
        TEST(test_sizes),
        TEST(test_no_addresses_anywhere),
        TEST(test_unknown_keys),
        TEST(test_wrong_types),
        TEST(test_ranges),
        TEST(test_budgets),
        TEST(test_bad_sizes),
        TEST(test_missing_keys),
        TEST(test_names_and_strings),
        TEST(test_paths),
        TEST(test_regions),
        TEST(test_devices),
        TEST(test_limits),
        TEST(test_gic_and_cpus),
        TEST(test_files),
        TEST(test_one_vm_refused),
        TEST(test_all_errors_in_one_run),
        TEST(test_file_and_layout),
        TEST(test_more_errors_than_room),
        TEST(test_syntax_costs_one_file),
        TEST(test_duplicate_names),
        TEST(test_host_keys_once),
        TEST(test_disk_owners),
        TEST(test_shares),
        TEST(test_machine_memory),
        TEST(test_too_many_vms),
        TEST(test_small_arena),
        TEST(test_long_file_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
