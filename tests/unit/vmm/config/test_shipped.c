// SPDX-License-Identifier: Apache-2.0
//
// The configurations of configs/ and the guest catalogue: good on every architecture they are meant for, and only
// the custom maps, each of one architecture, name an address. Runs in the root of the tree.
#include "kernel/lib/toml.h"
#include "vmm/config/config.h"
#include "vmm/config/embed.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config config;
static struct config_errors errors;
static _Alignas(16) char arena[256 * 1024];
static char text[32768];

static size_t read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    return n;
}

static void check(const char *path, const char *arch, bool must_be_good)
{
    struct config_env env = {.arch = arch, .makes_disks = true};
    struct config_source source = {path, text, read_file(path)};
    enum status s = config_load(&config, &source, 1, &env, arena, sizeof(arena), &errors);
    char line[400];

    if (must_be_good && s != OK) {
        fail_msg("%s: %s", arch, config_error_format(line, sizeof(line), &errors.list[0]));
    }
    assert_true(config.vm_count > 0);
    assert_true(must_be_good || s == E_CONFIG);
}

// The architecture that a configuration with addresses in it is for; NULL: all.
static const char *only_for(const char *name)
{
    static const char *const maps[][2] = {{"custom-map.toml", "aarch64"},
                                          {"custom-map-riscv64.toml", "riscv64"},
                                          {"custom-map-x86_64.toml", "x86_64"}};

    for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
        if (strcmp(name, maps[i][0]) == 0) {
            return maps[i][1];
        }
    }
    return NULL;
}

static void test_configs(void **state)
{
    static const char *const archs[] = {"aarch64", "riscv64", "x86_64"};
    DIR *dir = opendir("configs");
    unsigned count = 0;
    char path[300];

    (void)state;
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        const char *only = only_for(e->d_name);

        if (!strstr(e->d_name, ".toml")) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "configs/%s", e->d_name);
        for (unsigned i = 0; i < ARRAY_SIZE(archs); i++) {
            check(path, archs[i], !only || strcmp(only, archs[i]) == 0);
        }
        assert_true(only || !strstr(text, "0x"));
        count++;
    }
    (void)closedir(dir);
    assert_true(count >= 5);
}

// The default: Linux with a disk that survives its restart, and a neighbour.
static void test_default_config(void **state)
{
    (void)state;
    check("configs/two-guests.toml", "aarch64", true);
    assert_int_equal(config.vm_count, 2);
    assert_string_equal(config.vms[0].name, "linux");
    assert_int_equal(config.vms[0].memory, MIB(256));
    assert_string_equal(config.vms[0].boot.kernel, "debian/kernel");
    assert_string_equal(config.vms[0].devices[0].backend, "fat:/linux.img");
    assert_int_equal(config.vms[0].on_crash, CRASH_RESTART);
    assert_string_equal(config.vms[1].boot.kernel, "heartbeat/kernel");
}

static void test_catalogue(void **state)
{
    struct toml_arena memory = {.base = arena, .size = sizeof(arena)};
    struct toml_error error;
    struct toml_node *root;

    (void)state;
    assert_int_equal(toml_parse(&root, text, read_file("guests/catalogue.toml"), &memory, &error), OK);
    assert_non_null(toml_get(toml_get(root, "debian"), "kernel"));
    assert_non_null(toml_get(toml_get(root, "debian"), "initrd"));
    assert_non_null(toml_get(toml_get(root, "heartbeat"), "kernel"));
}

static void test_host_embeds_nothing(void **state)
{
    (void)state;
    assert_null(embed_find("debian/kernel"));
    assert_null(embed_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_default_config),
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_host_embeds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
