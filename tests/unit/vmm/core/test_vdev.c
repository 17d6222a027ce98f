// SPDX-License-Identifier: Apache-2.0
//
// Saving and loading a device's plain state: sizes, versions, the device's own hooks.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/core/vdev.h"

struct state {
    uint32_t a, b;
};

static unsigned saves;

static void save(const struct vdev *dev, void *state)
{
    saves++;
    memcpy(state, dev->state, sizeof(struct state));
}

// Refuses an `a` above 9.
static enum status load(struct vdev *dev, const void *state)
{
    struct state next;

    memcpy(&next, state, sizeof(next));
    if (next.a > 9) {
        return E_CORRUPT;
    }
    memcpy(dev->state, &next, sizeof(next));
    return OK;
}

static void plain_copy(void **unused)
{
    const struct vdev_ops ops = {.model = "plain", .state_version = 3, .state_size = sizeof(struct state)};
    struct state s = {1, 2}, saved = {0};
    struct vdev dev = {.ops = &ops, .state = &s};

    (void)unused;
    assert_int_equal(vdev_save(&dev, &saved, sizeof(saved) - 1), E_RANGE);
    assert_int_equal(saved.a, 0);
    assert_int_equal(vdev_save(&dev, &saved, sizeof(saved)), OK);
    s = (struct state){8, 9};
    assert_int_equal(vdev_load(&dev, 2, &saved, sizeof(saved)), E_UNSUPPORTED);
    assert_int_equal(vdev_load(&dev, 3, &saved, sizeof(saved) - 1), E_INVAL);
    assert_int_equal(vdev_load(&dev, 3, &saved, sizeof(saved) + 1), E_INVAL);
    assert_int_equal(s.a, 8);
    assert_int_equal(vdev_load(&dev, 3, &saved, sizeof(saved)), OK);
    assert_int_equal(s.a, 1);
    assert_int_equal(s.b, 2);
}

static void own_hooks(void **unused)
{
    const struct vdev_ops ops = {
        .model = "hooks", .state_version = 1, .state_size = sizeof(struct state), .save = save, .load = load};
    struct state s = {5, 6}, saved;
    struct vdev dev = {.ops = &ops, .state = &s};

    (void)unused;
    saves = 0;
    assert_int_equal(vdev_save(&dev, &saved, sizeof(saved)), OK);
    assert_int_equal(saves, 1);
    saved.a = 10;
    assert_int_equal(vdev_load(&dev, 1, &saved, sizeof(saved)), E_CORRUPT);
    assert_int_equal(s.a, 5);
    saved.a = 9;
    assert_int_equal(vdev_load(&dev, 1, &saved, sizeof(saved)), OK);
    assert_int_equal(s.a, 9);
}

static void no_state_at_all(void **unused)
{
    const struct vdev_ops ops = {.model = "none"};
    struct vdev dev = {.ops = &ops};

    (void)unused;
    assert_int_equal(vdev_save(&dev, NULL, 0), OK);
    assert_int_equal(vdev_load(&dev, 0, NULL, 0), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_copy),
        cmocka_unit_test(own_hooks),
        cmocka_unit_test(no_state_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
