// SPDX-License-Identifier: Apache-2.0
//
// Configuration of picolibc for Lodge, in place of the one its meson build writes: tiny stdio with integer-only
// printf, one global errno, no threads, no locale.

#pragma once

#define __PICOLIBC__ 1
#define __PICOLIBC_MINOR__ 8
#define __PICOLIBC_VERSION__ "1.8.10"
#define _NEWLIB_VERSION "4.3.0"
#define __NEWLIB__ 4
#define __NEWLIB_MINOR__ 3
#define __NEWLIB_PATCHLEVEL__ 0

#define __TINY_STDIO
#define __IO_DEFAULT 'i' // printf without floating point
#define __IO_C99_FORMATS // %zu %jd %td
#define __IO_SMALL_ULTOA
#define __GLOBAL_ERRNO
#define __SINGLE_THREAD
#define __FAST_STRCMP
#define __HAVE_CC_INHIBIT_LOOP_TO_LIBCALL
#define __ATOMIC_UNGETC
