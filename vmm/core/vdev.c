// SPDX-License-Identifier: Apache-2.0
//
// What all virtual devices share: saving and loading the plain state.
#include "vmm/core/vdev.h"

#include <string.h>

enum status vdev_save(const struct vdev *dev, void *buf, uint32_t size)
{
    if (size < dev->ops->state_size) {
        return E_RANGE;
    }
    if (dev->ops->save) {
        dev->ops->save(dev, buf);
        return OK;
    }
    if (dev->ops->state_size > 0) {
        memcpy(buf, dev->state, dev->ops->state_size);
    }
    return OK;
}

enum status vdev_load(struct vdev *dev, uint32_t version, const void *buf, uint32_t size)
{
    if (version != dev->ops->state_version) {
        return E_UNSUPPORTED;
    }
    if (size != dev->ops->state_size) {
        return E_INVAL;
    }
    if (dev->ops->load) {
        return dev->ops->load(dev, buf);
    }
    if (size > 0) {
        memcpy(dev->state, buf, size);
    }
    return OK;
}
