// SPDX-License-Identifier: Apache-2.0
//
// A gzip file (RFC 1952) seen as the file inside it, inflated on the fly.
//
// The size of the content is what the trailer claims; nothing is believed before gzip_finish() has seen the stream end
// exactly there with the right check sum. Reads should go forward; going back starts over. The work done is bounded by
// a small multiple of the claimed size, and the claimed size by the guest's RAM, so a bomb costs nothing. One thread.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/loader/image.h"

struct gzip_stream;

// True when the file starts like a gzip file.
bool gzip_probe(const struct image_source *src);

// Opens `src`, which must outlive the stream, and fills `content`. E_NOMEM; E_CORRUPT and the like are explained.
enum status gzip_open(const struct image_source *src, struct gzip_stream **out, struct image_source *content,
                      struct load_error *error);

// Reads what is left and checks that the stream ends where its trailer says, with the right check sum.
enum status gzip_finish(struct gzip_stream *gz, struct load_error *error);
void gzip_close(struct gzip_stream *gz); // NULL is fine
