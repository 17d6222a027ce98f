// SPDX-License-Identifier: Apache-2.0
//
// What FatFs R0.15 (ELM ChaN) is built as; scripts/setup compiles it with this file in place of its own.
// Read and write, long names in UTF-8, one volume per disk, 512-byte sectors, no heap, no clock. The meaning of
// every option is in FatFs' own documentation ("Configuration Options"). Glue (disk_*, ff_mutex_*) is kernel/fs.

#pragma once

#define FFCONF_DEF 80286 // the revision this file was written for; ff.h checks it

// Functions
#define FF_FS_READONLY 0
#define FF_FS_MINIMIZE 0
#define FF_USE_FIND 0
#define FF_USE_MKFS 0
#define FF_USE_FASTSEEK 1 // the cluster link map: a disk image file is resolved to extents once
#define FF_USE_EXPAND 0
#define FF_USE_CHMOD 0
#define FF_USE_LABEL 1
#define FF_USE_FORWARD 0
#define FF_USE_STRFUNC 0
#define FF_PRINT_LLI 0
#define FF_PRINT_FLOAT 0
#define FF_STRF_ENCODE 3

// Names: UTF-8 at the interface; the working buffer (512 bytes) is on the caller's stack
#define FF_CODE_PAGE 437
#define FF_USE_LFN 2
#define FF_MAX_LFN 255
#define FF_LFN_UNICODE 2
#define FF_LFN_BUF 255
#define FF_SFN_BUF 12
#define FF_FS_RPATH 0

// Volumes "0:" to "3:"; a partitioned disk's first FAT partition is the volume
#define FF_VOLUMES 4
#define FF_STR_VOLUME_ID 0
#define FF_VOLUME_STRS "0", "1", "2", "3"
#define FF_MULTI_PARTITION 0
#define FF_MIN_SS 512
#define FF_MAX_SS 512
#define FF_LBA64 0 // FatFs has it only together with exFAT; 32 bits reach 2 TiB
#define FF_MIN_GPT 0x10000000
#define FF_USE_TRIM 0
#define FF_FS_EXFAT 0

// System
#define FF_FS_TINY 0
#define FF_FS_NORTC 1 // the one date every written file gets
#define FF_NORTC_MON 1
#define FF_NORTC_MDAY 1
#define FF_NORTC_YEAR 2025
#define FF_FS_NOFSINFO 0
#define FF_FS_LOCK 0
#define FF_FS_REENTRANT 1
#define FF_FS_TIMEOUT 1000 // in the glue's own ticks
