// SPDX-License-Identifier: Apache-2.0
//
// Completion: what may stand at the cursor is a further word of some command, or what the command says its argument may be.
#include <stdio.h>
#include <string.h>

#include "kernel/shell/shell.h"

#define CANDIDATE_SIZE 48

struct completion_scan {
    struct shell *sh;
    const char *part; // what of the word is there
    size_t part_len;
    unsigned count;
    char common[CANDIDATE_SIZE]; // what all candidates begin with
    char last[CANDIDATE_SIZE];   // of the listing: equal neighbours once
    bool print;
};

static void consider(struct completion_scan *s, const char *word)
{
    size_t n = 0;

    if (strncmp(word, s->part, s->part_len) != 0 || strcmp(word, s->last) == 0) {
        return;
    }
    (void)snprintf(s->last, sizeof(s->last), "%s", word);
    if (s->print) {
        shell_printf(s->sh, "%s%s", s->count ? "  " : "", word);
    } else if (s->count == 0) {
        (void)snprintf(s->common, sizeof(s->common), "%s", word);
    }
    while (s->common[n] && s->common[n] == word[n]) {
        n++;
    }
    s->common[n] = s->print ? s->common[n] : '\0';
    s->count++;
}

// Words of commands that begin with the `count` words before the cursor.
static void scan_commands(struct completion_scan *s, char *const *words, unsigned count)
{
    for (const struct shell_command *c = NULL; (c = shell_command_after(c));) {
        char word[CANDIDATE_SIZE];
        unsigned n = 0;

        while (n < count && shell_command_word(c, n, word, sizeof(word)) && strcmp(word, words[n]) == 0) {
            n++;
        }
        if (n == count && shell_command_word(c, n, word, sizeof(word))) {
            consider(s, word);
        }
    }
}

static void scan_arguments(struct completion_scan *s, char *const *words, unsigned count)
{
    unsigned used = 0;
    const struct shell_command *c = shell_find(words, count, &used);
    char word[CANDIDATE_SIZE];

    for (unsigned i = 0; c && c->candidate && c->candidate(count - used, i, word, sizeof(word)); i++) {
        consider(s, word);
    }
}

static void scan(struct completion_scan *s, char *const *words, unsigned count)
{
    s->count = 0;
    s->last[0] = '\0';
    scan_commands(s, words, count);
    scan_arguments(s, words, count);
}

void shell_complete(struct shell *sh)
{
    struct line *l = &sh->line;
    struct completion_scan s = {.sh = sh};
    char text[LINE_SIZE + 1];
    struct shell_words words;
    unsigned count;

    memcpy(text, l->text, l->pos);
    text[l->pos] = '\0';
    shell_split(text, &words);
    count = words.count;
    s.part = "";
    if (l->pos > 0 && l->text[l->pos - 1] != ' ' && count > 0) {
        s.part = words.word[--count];
    }
    s.part_len = strlen(s.part);
    scan(&s, words.word, count);
    if (s.count == 0 || words.too_many) {
        return;
    }
    if (s.count == 1 || strlen(s.common) > s.part_len) {
        line_insert(l, s.common + s.part_len, strlen(s.common) - s.part_len);
        if (s.count == 1) {
            line_insert(l, " ", 1);
        }
        return;
    }
    s.print = true;
    shell_printf(sh, "\n");
    scan(&s, words.word, count);
    shell_printf(sh, "\n");
    line_draw(l);
}
