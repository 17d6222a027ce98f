// SPDX-License-Identifier: Apache-2.0
//
// See aml.h. A length stands before what it counts and has one to four bytes itself (ACPI 6.5, 20.2.4), so a term is
// written without, and moved when it is closed.
#include "vmm/firmware/aml.h"

enum aml_op { // 20.3
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0A,
    OP_WORD = 0x0B,
    OP_DWORD = 0x0C,
    OP_STRING = 0x0D,
    OP_QWORD = 0x0E,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_EXT = 0x5B,
    OP_EXT_DEVICE = 0x82
};

enum resource { // 6.4.2, 6.4.3: the tag's byte, small ones with their length in it
    RES_IRQ_NO_FLAGS = 0x22,
    RES_IO = 0x47,
    RES_END = 0x79,
    RES_MEMORY32_FIXED = 0x86,
    RES_EXTENDED_INTERRUPT = 0x89,
    RES_QWORD_SPACE = 0x8A
};

#define NAME_SIZE 4u
#define BUFFER_SIZE_TERM 3u // OP_WORD and two bytes
#define QWORD_SPACE_SIZE 43u
#define SPACE_FIXED 0x0D // min and max fixed, consumer

static void put_name(struct table_out *o, const char *name)
{
    if (strlen(name) != NAME_SIZE) {
        o->failed = true;
        return;
    }
    table_put(o, name, NAME_SIZE);
}

void aml_name(struct table_out *o, const char *name)
{
    table_u8(o, OP_NAME);
    put_name(o, name);
}

void aml_integer(struct table_out *o, uint64_t v)
{
    if (v <= 1) {
        table_u8(o, v ? OP_ONE : OP_ZERO);
    } else if (v <= UINT8_MAX) {
        table_u8(o, OP_BYTE);
        table_u8(o, v);
    } else if (v <= UINT16_MAX) {
        table_u8(o, OP_WORD);
        table_u16(o, v);
    } else if (v <= UINT32_MAX) {
        table_u8(o, OP_DWORD);
        table_u32(o, v);
    } else {
        table_u8(o, OP_QWORD);
        table_u64(o, v);
    }
}

void aml_string(struct table_out *o, const char *text)
{
    table_u8(o, OP_STRING);
    table_put(o, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10) & 0xFu;
}

// 19.6.38: three letters of five bits, four hexadecimal digits, the most significant byte first.
void aml_eisa_id(struct table_out *o, const char *id)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 3; i++) {
        v = v << 5 | ((uint32_t)(id[i] - '@') & 0x1Fu);
    }
    for (unsigned i = 3; i < 7; i++) {
        v = v << 4 | hex_digit(id[i]);
    }
    table_u8(o, OP_DWORD);
    table_u32(o, __builtin_bswap32(v));
}

size_t aml_scope(struct table_out *o, const char *path)
{
    table_u8(o, OP_SCOPE);

    size_t opened = o->used;

    table_put(o, path, strlen(path));
    return opened;
}

size_t aml_device(struct table_out *o, const char *name)
{
    table_u8(o, OP_EXT);
    table_u8(o, OP_EXT_DEVICE);

    size_t opened = o->used;

    put_name(o, name);
    return opened;
}

size_t aml_package(struct table_out *o, uint8_t count)
{
    table_u8(o, OP_PACKAGE);

    size_t opened = o->used;

    table_u8(o, count);
    return opened;
}

void aml_close(struct table_out *o, size_t opened)
{
    size_t body = o->used - opened;
    unsigned follow = body + 1 < 0x40 ? 0 : body + 2 < 0x1000 ? 1 : 2; // bytes of the length after the first
    size_t length = body + 1 + follow;
    uint8_t coded[3] = {(uint8_t)(follow << 6 | (follow ? length & 0xF : length)), (uint8_t)(length >> 4),
                        (uint8_t)(length >> 12)};

    table_zero(o, 1 + follow); // room
    if (o->failed || length >= BIT64(20)) {
        o->failed = true;
        return;
    }
    memmove(o->buf + opened + 1 + follow, o->buf + opened, body);
    memcpy(o->buf + opened, coded, 1 + follow);
}

size_t aml_resources(struct table_out *o)
{
    table_u8(o, OP_BUFFER);

    size_t opened = o->used;

    table_u8(o, OP_WORD);
    table_u16(o, 0);
    return opened;
}

void aml_resources_end(struct table_out *o, size_t opened)
{
    table_u8(o, RES_END);
    table_u8(o, 0); // "no checksum"
    table_patch(o, opened + 1, o->used - opened - BUFFER_SIZE_TERM, 2);
    aml_close(o, opened);
}

void aml_io(struct table_out *o, uint16_t port, uint8_t count)
{
    table_u8(o, RES_IO);
    table_u8(o, 1); // 16 bits are decoded
    table_u16(o, port);
    table_u16(o, port);
    table_u8(o, 1);
    table_u8(o, count);
}

void aml_irq(struct table_out *o, unsigned irq)
{
    o->failed = o->failed || irq > 15;
    table_u8(o, RES_IRQ_NO_FLAGS);
    table_u16(o, UINT64_C(1) << (irq & 15));
}

static void memory64(struct table_out *o, uint64_t base, uint64_t size)
{
    table_u8(o, RES_QWORD_SPACE);
    table_u16(o, QWORD_SPACE_SIZE);
    table_u8(o, 0); // memory
    table_u8(o, SPACE_FIXED);
    table_u8(o, 1);  // not cacheable, written too
    table_u64(o, 0); // granularity
    table_u64(o, base);
    table_u64(o, base + (size - 1));
    table_u64(o, 0); // translation
    table_u64(o, size);
}

void aml_memory(struct table_out *o, uint64_t base, uint64_t size)
{
    if (base + (size - 1) > UINT32_MAX) {
        memory64(o, base, size);
        return;
    }
    table_u8(o, RES_MEMORY32_FIXED);
    table_u16(o, 9);
    table_u8(o, 1); // written too
    table_u32(o, base);
    table_u32(o, size);
}

void aml_interrupt(struct table_out *o, uint32_t gsi, bool edge, bool active_low)
{
    table_u8(o, RES_EXTENDED_INTERRUPT);
    table_u16(o, 6);
    table_u8(o, 1u | (edge ? 2u : 0) | (active_low ? 4u : 0));
    table_u8(o, 1);
    table_u32(o, gsi);
}
