// SPDX-License-Identifier: Apache-2.0
//
// The management shell: words, commands, completion, listings. It knows no VM and no console: commands are rows that other
// folders put into a linker-section table, and its bytes come and go by functions of its owner.
//
// All calls on one thread, the shell's; commands run there too and may sleep.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/shell/line.h"

#define SHELL_ARGS 8
#define SHELL_ROW 480 // characters of a row of a listing

struct shell;

struct shell_args {
    unsigned argc; // without the command's own words and without --json
    const char *argv[SHELL_ARGS];
};

struct shell_command {
    const char *words; // "vm list"; a command may be the beginning of another one: the longest match counts
    const char *usage; // of its arguments: "NAME", "[VM] [reset]", ""
    const char *help;  // one line
    uint8_t min_args, max_args;
    // Anything but OK is printed with the command's words.
    enum status (*run)(struct shell *sh, const struct shell_args *args);
    // The i-th possible word for argument `arg`; false past the end. NULL: nothing to complete.
    bool (*candidate)(unsigned arg, unsigned i, char *buf, size_t size);
};

#define SHELL_COMMAND(ident)                               \
    static const struct shell_command *const ident##_entry \
        __attribute__((used, section("shell_commands"))) = &(ident)

struct shell {
    struct line line;
    void (*write)(void *ctx, const char *text, size_t len); // may wait for room
    void *ctx;
    // Of the command that runs:
    bool json;
    bool headed; // the listing's first line has been printed
    bool first_cell;
    char head[SHELL_ROW], row[SHELL_ROW];
};

void shell_init(struct shell *sh, void (*write)(void *ctx, const char *text, size_t len), void *ctx);
// Prompt, to begin with.
void shell_start(struct shell *sh);
// A typed byte: edits, completes, runs a finished line.
void shell_input(struct shell *sh, uint8_t byte);
// Runs one line without showing it.
enum status shell_run(struct shell *sh, char *line);

// ---- for commands --------------------------------------------------------------------------------------------------

// Text; '\n' becomes a line end of the terminal. At most SHELL_ROW characters a call.
__attribute__((format(printf, 2, 3))) void shell_printf(struct shell *sh, const char *fmt, ...);

// A listing: rows of cells; with --json each row is one object on a line of its own, else columns under a head, which the
// first row brings. Begin a second listing with shell_listing().
void shell_listing(struct shell *sh);
void shell_row(struct shell *sh);
void shell_text(struct shell *sh, const char *key, unsigned width, const char *value); // left
void shell_num(struct shell *sh, const char *key, unsigned width, uint64_t value);     // right
void shell_hex(struct shell *sh, const char *key, unsigned width, uint64_t value); // right; a string in JSON
void shell_bool(struct shell *sh, const char *key, unsigned width, bool value);    // yes, no
void shell_row_end(struct shell *sh);

// A whole number, decimal or 0x...; false when it is none, or above `max`.
bool shell_number(const char *text, uint64_t max, uint64_t *out);

// ---- between the shell's own files ---------------------------------------------------------------------------------

#define SHELL_WORDS 12
struct shell_words {
    unsigned count;
    char *word[SHELL_WORDS];
    bool too_many;
};
// Splits at blanks, in place.
void shell_split(char *line, struct shell_words *out);
// The command whose words follow those of `c` in the alphabet (NULL: the first); NULL past the end.
const struct shell_command *shell_command_after(const struct shell_command *c);
// How many words the command has, all of which `words` begin with; 0: they do not.
unsigned shell_command_match(const struct shell_command *c, char *const *words, unsigned count);
// The n-th word of a command; false past the end.
bool shell_command_word(const struct shell_command *c, unsigned n, char *buf, size_t size);
const struct shell_command *shell_find(char *const *words, unsigned count, unsigned *used);
void shell_complete(struct shell *sh);
