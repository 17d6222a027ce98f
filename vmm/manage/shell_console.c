// SPDX-License-Identifier: Apache-2.0
//
// See shell_console.h. The shell is one more channel of the console: the console's worker tells of typed bytes and of room,
// the shell's own thread does the rest.
#include "vmm/manage/shell_console.h"

#include <string.h>

#include "kernel/sched/thread.h"
#include "vmm/backend/char_mux.h"

#define NAME "shell"

static struct {
    struct shell shell;
    struct char_backend *be;
    struct completion input, room;
} term;

static void rx_ready(void *dev)
{
    (void)dev;
    completion_signal(&term.input);
}

static void tx_ready(void *dev)
{
    (void)dev;
    completion_signal(&term.room);
}

static const struct char_frontend_ops front = {.rx_ready = rx_ready, .tx_ready = tx_ready};

static void term_write(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    while (len > 0) {
        completion_reset(&term.room);
        size_t n = term.be->ops->write(term.be, text, len);

        text += n;
        len -= n;
        if (len > 0) {
            completion_wait(&term.room);
        }
    }
}

static void shell_main(void *arg)
{
    (void)arg;
    for (;;) {
        uint8_t bytes[32];
        size_t n;

        completion_reset(&term.input);
        n = term.be->ops->read(term.be, bytes, sizeof(bytes));
        if (n == 0) {
            completion_wait(&term.input);
        }
        for (size_t i = 0; i < n; i++) {
            shell_input(&term.shell, bytes[i]);
        }
    }
}

enum status shell_console_start(void)
{
    struct thread *t;
    enum status s = char_mux_open_shell(NAME, &term.be);

    if (s != OK) {
        return s;
    }
    completion_init(&term.input);
    completion_init(&term.room);
    shell_init(&term.shell, term_write, NULL);
    t = thread_create(&(struct thread_attr){.name = NAME, .entry = shell_main, .prio = PRIO_WORKER});
    if (!t) {
        term.be->ops->destroy(term.be);
        return E_NOMEM;
    }
    char_backend_attach(term.be, &front, &term);
    thread_start(t);
    return OK;
}

enum status shell_find_vm(const char *name, struct managed **out)
{
    vm_table_hold();
    *out = vm_table_find(name);
    if (!*out) {
        vm_table_release();
        return E_NOENT;
    }
    return OK;
}

bool shell_vm_candidate(unsigned i, char *buf, size_t size)
{
    char name[CONFIG_NAME_MAX];

    if (!vm_table_name(i, name) || strlen(name) >= size) {
        return false;
    }
    strcpy(buf, name);
    return true;
}
