// SPDX-License-Identifier: Apache-2.0
//
// One file and what the loader says of it, for the tests of each format. After <cmocka.h>.
#pragma once

#include "tests/unit/vmm/loader/files.h"

static struct file file;
static struct image_source source;
static struct image_options options;
static struct image image;
static struct load_error error;

// Every refusal has a text, and nothing else has.
static inline enum status probe(void)
{
    error.text[0] = 0;
    source = file_source(&file);
    enum status st = image_probe(&source, &options, &image, &error);
    assert_int_equal(st == OK, error.text[0] == 0);
    return st;
}

static inline void assert_refused(enum status st, const char *part)
{
    assert_int_equal(probe(), st);
    if (!strstr(error.text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
    }
}
