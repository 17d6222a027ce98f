// SPDX-License-Identifier: Apache-2.0
//
// vmconf: checks configurations, and shows what they mean, before they reach a machine. The parser and the checks are
// the ones inside the image.
#include "tools/vmconf/vmconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "usage: vmconf COMMAND [OPTION...] FILE...\n"
    "\n"
    "  check FILE...      check; every complaint with file, line, column, key and rule\n"
    "  plan FILE...       the isolation report: who can touch which memory, registers, interrupts, cores\n"
    "  dump FILE          the parsed document as JSON, with types and positions\n"
    "  images FILE...     the files to embed: key, path and VM, separated by tabs\n"
    "                     with --fat those on the FAT disk: target, path or -, size, VM\n"
    "\n"
    "  --arch ARCH        aarch64 (default), riscv64 or x86_64\n"
    "  --catalogue FILE   the guest catalogue (default: guests/catalogue.toml where it exists)\n"
    "  --var NAME=VALUE   what ${NAME} stands for in the catalogue; cache and build have defaults\n"
    "  --cpus N, --ram SIZE   the machine's CPUs and memory, where they are known\n"
    "  --no-files         do not ask whether the files exist\n"
    "  --json             plan: machine-readable\n"
    "\n"
    "Several files make one configuration, as CONFIG=a.toml:b.toml does. Exit status: 0 good, 1 complaints, "
    "2 usage.\n";

static int usage(const char *message, const char *what)
{
    (void)fprintf(stderr, "vmconf: %s%s\n%s", message, what, usage_text);
    return 2;
}

static bool parse_number(const char *s, uint64_t *out)
{
    char *end;
    uint64_t v = strtoull(s, &end, 0);
    const char *suffix = strchr("KMGT", *end);

    if (end == s || (*end && (!suffix || end[1]))) {
        return false;
    }
    *out = *end ? v << 10 * (suffix - "KMGT" + 1) : v;
    return true;
}

// An option that takes a value. False: unknown, or the value is wrong.
static bool option_value(struct options *o, const char *name, const char *value)
{
    uint64_t v;

    if (strcmp(name, "--arch") == 0) {
        o->arch = value;
    } else if (strcmp(name, "--catalogue") == 0) {
        o->catalogue = value;
    } else if (strcmp(name, "--var") == 0 && strchr(value, '=') && o->var_count < VAR_MAX) {
        o->vars[o->var_count++] = value;
    } else if (strcmp(name, "--cpus") == 0 && parse_number(value, &v) && v < 4096) {
        o->cpus = (unsigned)v;
    } else if (strcmp(name, "--ram") == 0 && parse_number(value, &v)) {
        o->ram = v;
    } else {
        return false;
    }
    return true;
}

static bool option_flag(struct options *o, const char *name)
{
    if (strcmp(name, "--json") == 0) {
        o->json = true;
    } else if (strcmp(name, "--fat") == 0) {
        o->fat = true;
    } else if (strcmp(name, "--no-files") == 0) {
        o->no_files = true;
    } else {
        return false;
    }
    return true;
}

static int parse_options(struct options *o, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            if (o->file_count == FILE_MAX) {
                return usage("too many files", "");
            }
            o->files[o->file_count++] = argv[i];
        } else if (option_flag(o, argv[i])) {
            continue;
        } else if (i + 1 < argc && option_value(o, argv[i], argv[i + 1])) {
            i++;
        } else {
            return usage("bad option or value: ", argv[i]);
        }
    }
    return o->file_count ? 0 : usage("no file named", "");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct loaded *l);
    } commands[] = {{"check", cmd_check}, {"plan", cmd_plan}, {"images", cmd_images}};
    static struct loaded loaded;
    struct options options = {.arch = "aarch64"};
    int rc;

    if (argc >= 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)) {
        (void)fputs(usage_text, stdout);
        return 0;
    }
    if (argc < 2) {
        return usage("no command", "");
    }
    rc = parse_options(&options, argc, argv);
    if (rc) {
        return rc;
    }
    if (strcmp(argv[1], "dump") == 0) {
        return cmd_dump(&options);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            rc = config_open(&loaded, &options);
            return rc == 2 ? 2 : commands[i].run(&loaded);
        }
    }
    return usage("unknown command: ", argv[1]);
}
