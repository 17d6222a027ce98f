// SPDX-License-Identifier: Apache-2.0
//
// See image_pvh.h. A note is three words (sizes of name and description, type), then both, each padded to four bytes (System V
// ABI, chapter 5).
#include "vmm/loader/image_pvh.h"

#include <string.h>

#include "kernel/lib/range.h"

#define NOTE_HEADER 12u
#define NOTES_MAX KIB(64)
#define NAME "Xen"
#define NAME_SIZE 4u
#define PHYS32_ENTRY 18u

// The entry may be given with four or eight bytes.
static bool read_entry(const struct image_source *src, uint64_t off, uint32_t size, uint64_t *entry)
{
    uint8_t desc[8] = {0};

    if ((size != 4 && size != 8) || image_read(src, off, desc, size) != OK) {
        return false;
    }
    if (image_le64(desc) > UINT32_MAX) {
        return false;
    }
    *entry = image_le64(desc);
    return true;
}

bool image_pvh_entry(const struct image_source *src, uint64_t off, uint64_t size, uint64_t *entry)
{
    uint8_t head[NOTE_HEADER + NAME_SIZE];

    if (size > NOTES_MAX || !range_contains(0, src->size, off, size)) {
        return false;
    }
    while (size >= sizeof(head) && image_read(src, off, head, sizeof(head)) == OK) {
        uint32_t name_size = image_le32(head), desc_size = image_le32(head + 4);
        uint64_t desc = NOTE_HEADER + align_up(name_size, 4);
        uint64_t next = desc + align_up(desc_size, 4);

        if (next > size) {
            return false;
        }
        if (image_le32(head + 8) == PHYS32_ENTRY && name_size == NAME_SIZE &&
            memcmp(head + NOTE_HEADER, NAME, NAME_SIZE) == 0) {
            return read_entry(src, off + desc, desc_size, entry);
        }
        off += next;
        size -= next;
    }
    return false;
}
