// SPDX-License-Identifier: Apache-2.0
//
// Lines to commands.
#include "kernel/shell/shell.h"

#include <stdlib.h>
#include <string.h>

extern const struct shell_command *const __start_shell_commands[];
extern const struct shell_command *const __stop_shell_commands[];

// ---- the table -----------------------------------------------------------------------------------------------------

static unsigned command_count(void)
{
    // Two symbols of the linker: their distance is one of numbers.
    return (unsigned)(((uintptr_t)__stop_shell_commands - (uintptr_t)__start_shell_commands) /
                      sizeof(__start_shell_commands[0]));
}

const struct shell_command *shell_command_after(const struct shell_command *c)
{
    const struct shell_command *best = NULL;

    for (unsigned i = 0; i < command_count(); i++) {
        const struct shell_command *other = __start_shell_commands[i];

        if ((!c || strcmp(other->words, c->words) > 0) && (!best || strcmp(other->words, best->words) < 0)) {
            best = other;
        }
    }
    return best;
}

bool shell_command_word(const struct shell_command *c, unsigned n, char *buf, size_t size)
{
    const char *w = c->words;
    size_t len;

    for (; n > 0; n--) {
        w += strcspn(w, " ");
        if (!*w) {
            return false;
        }
        w++;
    }
    len = strcspn(w, " ");
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(buf, w, len);
    buf[len] = '\0';
    return true;
}

unsigned shell_command_match(const struct shell_command *c, char *const *words, unsigned count)
{
    char word[32];
    unsigned n = 0;

    for (; shell_command_word(c, n, word, sizeof(word)); n++) {
        if (n >= count || strcmp(word, words[n]) != 0) {
            return 0;
        }
    }
    return n;
}

const struct shell_command *shell_find(char *const *words, unsigned count, unsigned *used)
{
    const struct shell_command *best = NULL;

    *used = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        unsigned n = shell_command_match(__start_shell_commands[i], words, count);

        if (n > *used) {
            best = __start_shell_commands[i];
            *used = n;
        }
    }
    return best;
}

void shell_split(char *line, struct shell_words *out)
{
    out->count = 0;
    out->too_many = false;
    for (;;) {
        line += strspn(line, " \t");
        if (!*line) {
            return;
        }
        if (out->count == SHELL_WORDS) {
            out->too_many = true;
            return;
        }
        out->word[out->count++] = line;
        line += strcspn(line, " \t");
        if (*line) {
            *line++ = '\0';
        }
    }
}

bool shell_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    unsigned long long v;

    if (*text < '0' || *text > '9' || strlen(text) > 18) {
        return false;
    }
    v = strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
    if (*end || v > max) {
        return false;
    }
    *out = v;
    return true;
}

// ---- running -------------------------------------------------------------------------------------------------------

static void take_flags(struct shell *sh, struct shell_words *w)
{
    unsigned kept = 0;

    sh->json = false;
    for (unsigned i = 0; i < w->count; i++) {
        if (strcmp(w->word[i], "--json") == 0) {
            sh->json = true;
        } else {
            w->word[kept++] = w->word[i];
        }
    }
    w->count = kept;
}

static void say_error(struct shell *sh, const char *what, const char *why)
{
    if (sh->json) {
        shell_row(sh);
        shell_text(sh, "error", 0, why);
        shell_row_end(sh);
    } else {
        shell_printf(sh, "%s: %s\n", what, why);
    }
}

enum status shell_run(struct shell *sh, char *line)
{
    struct shell_words w;
    struct shell_args args = {0};
    const struct shell_command *c;
    enum status s;
    unsigned used;

    shell_split(line, &w);
    take_flags(sh, &w);
    sh->headed = false;
    if (w.count == 0) {
        return OK;
    }
    c = w.too_many ? NULL : shell_find(w.word, w.count, &used);
    if (!c) {
        say_error(sh, w.word[0], w.too_many ? "too many words" : "no such command; `help` lists all");
        return E_NOENT;
    }
    args.argc = w.count - used;
    if (args.argc < c->min_args || args.argc > c->max_args || args.argc > SHELL_ARGS) {
        shell_printf(sh, "usage: %s %s\n", c->words, c->usage);
        return E_INVAL;
    }
    for (unsigned i = 0; i < args.argc; i++) {
        args.argv[i] = w.word[used + i];
    }
    s = c->run(sh, &args);
    if (s != OK) {
        say_error(sh, c->words, status_name(s));
    }
    return s;
}

// ---- the terminal --------------------------------------------------------------------------------------------------

static void line_out(void *ctx, const char *text, size_t len)
{
    struct shell *sh = ctx;

    sh->write(sh->ctx, text, len);
}

void shell_init(struct shell *sh, void (*write)(void *ctx, const char *text, size_t len), void *ctx)
{
    memset(sh, 0, sizeof(*sh));
    sh->write = write;
    sh->ctx = ctx;
    line_init(&sh->line, "lodge> ", line_out, sh);
}

void shell_start(struct shell *sh)
{
    line_start(&sh->line);
}

void shell_input(struct shell *sh, uint8_t byte)
{
    char text[LINE_SIZE + 1];

    switch (line_feed(&sh->line, byte)) {
    case LINE_EDITED:
        return;
    case LINE_TAB:
        shell_complete(sh);
        return;
    case LINE_DONE:
        break;
    }
    memcpy(text, sh->line.text, sizeof(text));
    (void)!shell_run(sh, text);
    line_start(&sh->line);
}

// ---- help ----------------------------------------------------------------------------------------------------------

static enum status run_help(struct shell *sh, const struct shell_args *args)
{
    unsigned shown = 0;

    for (const struct shell_command *c = NULL; (c = shell_command_after(c));) {
        char word[32], left[64] = "";
        unsigned n = 0;

        while (n < args->argc && shell_command_word(c, n, word, sizeof(word)) &&
               strcmp(word, args->argv[n]) == 0) {
            n++;
        }
        if (n < args->argc) {
            continue;
        }
        strncat(left, c->words, sizeof(left) - 1);
        if (c->usage[0]) {
            strncat(left, " ", sizeof(left) - 1 - strlen(left));
            strncat(left, c->usage, sizeof(left) - 1 - strlen(left));
        }
        shell_row(sh);
        shell_text(sh, "command", 32, left);
        shell_text(sh, "meaning", 0, c->help);
        shell_row_end(sh);
        shown++;
    }
    if (!sh->json && args->argc == 0) {
        shell_printf(
            sh, "Listings take --json: one object a line. Tab completes. Ctrl-] n: back to the guests.\n");
    }
    return shown ? OK : E_NOENT;
}

static bool help_candidate(unsigned arg, unsigned i, char *buf, size_t size)
{
    const struct shell_command *c = shell_command_after(NULL);

    for (; c && i > 0; i--) {
        c = shell_command_after(c);
    }
    return arg == 0 && c && shell_command_word(c, 0, buf, size);
}

static const struct shell_command help_command = {
    .words = "help",
    .usage = "[COMMAND]",
    .help = "what there is",
    .max_args = 2,
    .run = run_help,
    .candidate = help_candidate,
};
SHELL_COMMAND(help_command);
