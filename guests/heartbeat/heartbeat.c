// SPDX-License-Identifier: Apache-2.0
//
// heartbeat: the smallest useful guest. Prints a counter each second by timer interrupt, sleeping in between, and
// answers lines of input; a few commands misbehave on purpose, for tests of the hypervisor.
#include "guests/lib/guest.h"

#define LINE_MAX 128

static char line[LINE_MAX];
static unsigned line_len;
static uint64_t beats;
static uint64_t fp_seed; // what the FP registers hold, 0: not watched

struct command {
    const char *name;
    const char *help;
    void (*run)(void);
};

static void run_help(void);

// An address where no board has anything.
static uintptr_t nowhere(void)
{
    return board.ram_base > 0x30000000 ? 0x30000000 : 0xf0000000;
}

static void run_status(void)
{
    print("status: heartbeat %lu, counter %lu at %lu Hz, %s, RAM at 0x%lx, %lu MiB, bootargs \"%s\"\n", beats,
          time_now(), time_hz(), irq_controller(), board.ram_base, board.ram_size >> 20, board.bootargs);
}

static void run_poweroff(void)
{
    print("poweroff\n");
    power_off();
}

static void run_reset(void)
{
    print("reset\n");
    power_reset();
}

static void run_crash(void)
{
    print("crash: reading an address where nothing lives\n");
    print("crash: read 0x%x\n", *(volatile uint32_t *)nowhere());
}

static void run_wild(void)
{
    void (*target)(void) = (void (*)(void))nowhere();

    print("wild: branching to an address where nothing lives\n");
    target();
}

static void run_undef(void)
{
    print("undef: executing an undefined instruction\n");
    __asm__ volatile(UNDEFINED_INSTRUCTION);
}

static void run_spin(void)
{
    print("spin: interrupts masked, for ever\n");
    irq_set_mask(true);
    for (;;) {
        __asm__ volatile("");
    }
}

// From now on each beat tells whether the FP registers survived the sleep before it.
static void run_fp(void)
{
    fp_seed = time_now() | 1;
    fp_fill(fp_seed);
    print("fp: watching %lx\n", fp_seed);
}

static void watch_fp(void)
{
    if (fp_seed) {
        print(fp_check(fp_seed) ? "fp: kept\n" : "fp: lost\n");
        fp_seed = time_now() | 1;
        fp_fill(fp_seed);
    }
}

// The number in base 16 at *text, which moves behind it and one space.
static uint64_t take_hex(const char **text)
{
    uint64_t v = 0;

    for (; **text && **text != ' '; (*text)++) {
        char c = **text;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    *text += **text == ' ';
    return v;
}

// "peek 50000000", "poke 50000000 2a": a word of memory, where there is some.
static bool memory_command(void)
{
    bool poke = text_starts(line, "poke ");
    const char *rest = line + 5;

    if (!poke && !text_starts(line, "peek ")) {
        return false;
    }
    uint64_t address = take_hex(&rest);
    volatile uint32_t *word = (volatile uint32_t *)(uintptr_t)address;
    if (poke) {
        *word = (uint32_t)take_hex(&rest);
    }
    print("word at 0x%lx: 0x%x\n", address, *word);
    return true;
}

static const struct command commands[] = {
    {"help", "this list", run_help},
    {"status", "what this guest knows of itself", run_status},
    {"poweroff", "turn this guest off", run_poweroff},
    {"reset", "start this guest again", run_reset},
    {"crash", "read an unmapped address", run_crash},
    {"wild", "branch to an unmapped address", run_wild},
    {"undef", "execute an undefined instruction", run_undef},
    {"fp", "watch the FP registers", run_fp},
    {"spin", "mask interrupts and spin for ever", run_spin},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void run_help(void)
{
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        print("  %s: %s\n", commands[i].name, commands[i].help);
    }
    print("  peek ADDRESS, poke ADDRESS VALUE: a word of memory, in base 16\n");
    print("  anything else is echoed\n");
}

static void answer(void)
{
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (text_equal(line, commands[i].name)) {
            commands[i].run();
            return;
        }
    }
    if (!memory_command()) {
        print("echo: %s\n", line);
    }
}

static void take_input(void)
{
    for (int c = get_char(); c >= 0; c = get_char()) {
        if (c == '\r' || c == '\n') {
            line[line_len] = 0;
            if (line_len) {
                line_len = 0;
                answer();
            }
        } else if ((c == '\b' || c == 0x7f) && line_len) {
            line_len--;
        } else if (c >= ' ' && c < 0x7f && line_len + 1 < LINE_MAX) {
            line[line_len++] = (char)c;
        }
    }
}

// "run=spin" on the command line is typed for us at the start.
static void run_bootarg(void)
{
    const char *at = board.bootargs;

    while (*at && !text_starts(at, "run=")) {
        at++;
    }
    if (*at) {
        size_t n = text_copy(line, sizeof(line), at + 4);

        for (size_t i = 0; i < n; i++) {
            line[i] = line[i] == ' ' ? '\0' : line[i];
        }
        answer();
    }
}

void guest_main(void)
{
    print("heartbeat: up, type help\n");
    run_bootarg();
    timer_start(time_hz());
    for (;;) {
        while (beats < timer_periods()) {
            print("heartbeat %lu\n", ++beats);
            watch_fp();
        }
        take_input();
        irq_wait();
    }
}
