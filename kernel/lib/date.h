// SPDX-License-Identifier: Apache-2.0
//
// Dates of the Gregorian calendar, UTC, and seconds since 1970. Pure.
#pragma once

#include "kernel/lib/types.h"

#define DATE_YEAR_FIRST 1970u
#define DATE_YEAR_LAST 9999u

struct date {
    uint16_t year;
    uint8_t month, day; // from 1
    uint8_t hour, minute, second;
    uint8_t reserved; // 0
};

// Beyond DATE_YEAR_LAST it begins again in DATE_YEAR_FIRST.
struct date date_from_seconds(uint64_t seconds);

// Any contents: what does not exist becomes the nearest that does.
uint64_t date_to_seconds(const struct date *d);

// 1: Sunday, to 7.
unsigned date_weekday(const struct date *d);
