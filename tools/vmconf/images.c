// SPDX-License-Identifier: Apache-2.0
//
// vmconf images: which files a configuration needs, for scripts/gen_embed and scripts/make_disk. Each file once.
#include "tools/vmconf/vmconf.h"

#include <stdio.h>
#include <string.h>

#define DISK_DEFAULT_SIZE MIB(64)
#define SEEN_MAX (CONFIG_VM_MAX * 4)

struct seen {
    const char *keys[SEEN_MAX];
    unsigned count;
};

// True the first time.
static bool first_time(struct seen *seen, const char *key)
{
    for (unsigned i = 0; i < seen->count; i++) {
        if (strcmp(seen->keys[i], key) == 0) {
            return false;
        }
    }
    if (seen->count < SEEN_MAX) {
        seen->keys[seen->count++] = key;
    }
    return true;
}

static void embed_line(struct seen *seen, const struct loaded *l, const char *key, const char *vm)
{
    const char *path = catalogue_path(&l->catalogue, key);

    if (key[0] && first_time(seen, key)) {
        (void)printf("%s\t%s\t%s\n", key, path ? path : key, vm);
    }
}

// `size` 0: the file as it is; else it is made of zeros when there is none.
static void fat_line(struct seen *seen, const struct loaded *l, const char *target, uint64_t size,
                     const char *vm)
{
    const char *path = catalogue_path(&l->catalogue, target + 1);
    char guest_path[CONFIG_PATH_MAX + 8];

    if (!target[0] || !first_time(seen, target)) {
        return;
    }
    (void)snprintf(guest_path, sizeof(guest_path), "guests%s", target);
    if (!path) {
        path = path_exists(target + 1)   ? target + 1
               : path_exists(guest_path) ? guest_path
               : size                    ? "-"
                                         : target + 1;
    }
    (void)printf("%s\t%s\t%llu\t%s\n", target, path, (unsigned long long)size, vm);
}

static void list_boot(struct seen *seen, const struct loaded *l, const struct vm_config *vm)
{
    const char *paths[] = {vm->boot.kernel, vm->boot.initrd, vm->boot.dtb};
    bool on_fat = vm->boot.source == BOOT_FAT;

    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        if (on_fat && l->options->fat) {
            fat_line(seen, l, paths[i], 0, vm->name);
        } else if (!on_fat && !l->options->fat) {
            embed_line(seen, l, paths[i], vm->name);
        }
    }
}

static void list_device(struct seen *seen, const struct loaded *l, const struct vm_config *vm,
                        const struct device_config *d)
{
    const char *name = strchr(d->backend, ':');

    if (d->model != MODEL_VIRTIO_BLK || !name) {
        return;
    }
    if (strncmp(d->backend, "fat:", 4) == 0 && l->options->fat) {
        fat_line(seen, l, name + 1, d->size ? d->size : DISK_DEFAULT_SIZE, vm->name);
    } else if (strncmp(d->backend, "fat:", 4) != 0 && !l->options->fat) {
        embed_line(seen, l, name + 1, vm->name);
    }
}

int cmd_images(struct loaded *l)
{
    static struct seen seen;

    for (unsigned i = 0; i < l->config.vm_count; i++) {
        const struct vm_config *vm = &l->config.vms[i];

        if (vm->refused) {
            continue;
        }
        list_boot(&seen, l, vm);
        for (unsigned d = 0; d < vm->device_count; d++) {
            list_device(&seen, l, vm, &vm->devices[d]);
        }
    }
    return l->errors.count ? 1 : 0;
}
