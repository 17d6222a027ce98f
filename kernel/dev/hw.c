// SPDX-License-Identifier: Apache-2.0
//
// The list of hardware that the enumerators found. It only grows, on the boot CPU, so it needs no lock.
// Descriptions are objects of their own, so that pointers to them stay valid while the index grows.
#include "kernel/dev/hw_desc.h"

#include <string.h>

#include "kernel/mm/pool.h"

static struct hw_desc **list;
static unsigned count;
static unsigned capacity;

static bool grow(void)
{
    unsigned wanted = capacity ? 2 * capacity : 32;
    struct hw_desc **bigger = pool_alloc_array(wanted, sizeof(list[0]));

    if (!bigger) {
        return false;
    }
    if (list) {
        memcpy(bigger, list, count * sizeof(list[0]));
        pool_free_array(list, capacity, sizeof(list[0]));
    }
    list = bigger;
    capacity = wanted;
    return true;
}

unsigned hw_count(void)
{
    return count;
}

const struct hw_desc *hw_get(unsigned i)
{
    return i < count ? list[i] : NULL;
}

enum status hw_add(const struct hw_desc *hw)
{
    if (count == capacity && !grow()) {
        return E_NOMEM;
    }

    struct hw_desc *copy = pool_alloc(sizeof(*copy));

    if (!copy) {
        return E_NOMEM;
    }
    *copy = *hw;
    list[count++] = copy;
    return OK;
}
