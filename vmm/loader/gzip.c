// SPDX-License-Identifier: Apache-2.0
//
// Streaming inflate over zlib, which is built without its own allocator (Z_SOLO): it gets a small arena inside the
// stream object.
#include "vmm/loader/gzip.h"

#define Z_SOLO 1
#include <string.h>
#include <zlib.h>

#include "kernel/lib/range.h"
#include "kernel/mm/pool.h"

#define GZIP_SIZE_MIN 18u          // header, empty block, trailer
#define WINDOW_BITS_GZIP (15 + 16) // the largest window, gzip header and trailer checked by zlib
#define ARENA_SIZE KIB(48)         // inflate state (10 KiB) and window (32 KiB)
#define WORK_FACTOR 8              // times the content's size may be inflated in all, going back included
#define WORK_SPARE MIB(16)

struct gzip_stream {
    const struct image_source *src;
    z_stream z;
    uint64_t in_pos;    // of the next byte to fetch from src
    uint64_t pos;       // of the next byte of content
    uint64_t size;      // of the content, as claimed
    uint64_t work_left; // bytes that may still be inflated
    bool ended;
    uint32_t arena_used;
    uint8_t arena[ARENA_SIZE] __attribute__((aligned(16)));
    uint8_t in[KIB(8)];
    uint8_t skip[KIB(4)];
};

static void *arena_alloc(void *opaque, unsigned count, unsigned size)
{
    struct gzip_stream *gz = opaque;
    uint64_t bytes = align_up((uint64_t)count * size, 16);
    void *p = gz->arena + gz->arena_used;

    if (bytes > ARENA_SIZE - gz->arena_used) {
        return NULL;
    }
    gz->arena_used += (uint32_t)bytes;
    return p;
}

static void arena_free(void *opaque, void *p)
{
    (void)opaque;
    (void)p;
}

static enum status refill(struct gzip_stream *gz)
{
    uint64_t n = min_u64(sizeof(gz->in), gz->src->size - gz->in_pos);
    enum status st;

    if (n == 0) {
        return E_CORRUPT; // the stream wants more than there is
    }
    st = image_read(gz->src, gz->in_pos, gz->in, n);
    if (st != OK) {
        return st;
    }
    gz->in_pos += n;
    gz->z.next_in = gz->in;
    gz->z.avail_in = (unsigned)n;
    return OK;
}

// Inflates up to `len` bytes to `buf`; *done says how many came before the end of the stream.
static enum status inflate_some(struct gzip_stream *gz, uint8_t *buf, uint64_t len, uint64_t *done)
{
    *done = 0;
    while (*done < len && !gz->ended) {
        uint64_t want = min_u64(len - *done, MIB(1));
        int rc;

        if (gz->z.avail_in == 0) {
            enum status st = refill(gz);
            if (st != OK) {
                return st;
            }
        }
        gz->z.next_out = buf + *done;
        gz->z.avail_out = (unsigned)want;
        rc = inflate(&gz->z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            return E_CORRUPT;
        }
        want -= gz->z.avail_out;
        if (want > gz->work_left) {
            return E_UNSUPPORTED;
        }
        gz->work_left -= want;
        *done += want;
        gz->ended = rc == Z_STREAM_END;
    }
    gz->pos += *done;
    return OK;
}

static enum status rewind_stream(struct gzip_stream *gz)
{
    gz->in_pos = 0;
    gz->pos = 0;
    gz->ended = false;
    gz->z.avail_in = 0;
    return inflateReset(&gz->z) == Z_OK ? OK : E_CORRUPT;
}

static enum status skip_to(struct gzip_stream *gz, uint64_t off)
{
    enum status st = off < gz->pos ? rewind_stream(gz) : OK;

    while (st == OK && gz->pos < off) {
        uint64_t done;

        st = inflate_some(gz, gz->skip, min_u64(sizeof(gz->skip), off - gz->pos), &done);
        if (st == OK && done == 0) {
            return E_CORRUPT;
        }
    }
    return st;
}

static enum status content_read(void *ctx, uint64_t off, void *buf, uint64_t len)
{
    struct gzip_stream *gz = ctx;
    enum status st = skip_to(gz, off);
    uint64_t done = 0;

    if (st == OK) {
        st = inflate_some(gz, buf, len, &done);
    }
    return st == OK && done < len ? E_CORRUPT : st;
}

bool gzip_probe(const struct image_source *src)
{
    uint8_t magic[3];

    return src->size >= GZIP_SIZE_MIN && image_read(src, 0, magic, sizeof(magic)) == OK && magic[0] == 0x1f &&
           magic[1] == 0x8b && magic[2] == 8;
}

enum status gzip_open(const struct image_source *src, struct gzip_stream **out, struct image_source *content,
                      struct load_error *error)
{
    struct gzip_stream *gz;
    uint8_t claimed[4];

    if (src->size < GZIP_SIZE_MIN || image_read(src, src->size - 4, claimed, sizeof(claimed)) != OK) {
        return load_fail(error, E_CORRUPT, "is truncated: %llu bytes of gzip", (unsigned long long)src->size);
    }
    gz = pool_alloc(sizeof(*gz));
    if (!gz) {
        return load_fail(error, E_NOMEM, "cannot be decompressed: out of memory");
    }
    gz->src = src;
    gz->size = image_le32(claimed);
    gz->work_left = WORK_FACTOR * gz->size + WORK_SPARE;
    gz->z.zalloc = arena_alloc;
    gz->z.zfree = arena_free;
    gz->z.opaque = gz;
    if (inflateInit2(&gz->z, WINDOW_BITS_GZIP) != Z_OK) {
        gzip_close(gz);
        return load_fail(error, E_NOMEM, "cannot be decompressed: zlib refused to start");
    }
    *out = gz;
    *content = (struct image_source){.name = src->name, .size = gz->size, .read = content_read, .ctx = gz};
    return OK;
}

enum status gzip_finish(struct gzip_stream *gz, struct load_error *error)
{
    uint64_t done = 0;
    enum status st = skip_to(gz, gz->size);

    if (st == OK) {
        st = inflate_some(gz, gz->skip, 1, &done);
    }
    if (st != OK || done != 0 || !gz->ended || gz->pos != gz->size) {
        return load_fail(error, st == OK ? E_CORRUPT : st,
                         "is a damaged gzip file: its content does not match its own check sum and length");
    }
    return OK;
}

void gzip_close(struct gzip_stream *gz)
{
    if (gz) {
        (void)inflateEnd(&gz->z);
        pool_free(gz, sizeof(*gz));
    }
}
