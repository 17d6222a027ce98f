// SPDX-License-Identifier: Apache-2.0
//
// memcpy, memmove, memset in general registers, a machine word at a time where both sides are aligned alike (no machine
// is asked for misaligned accesses). psABI: a0 destination, a1 source or value, a2 size; returns a0.

    .text
    .global memcpy
    .type memcpy, %function
memcpy:
    mv      a3, a0
    xor     a4, a0, a1
    andi    a4, a4, 7
    bnez    a4, 5f
    li      a5, 16
    bltu    a2, a5, 5f
1:  andi    a4, a3, 7               // bytes up to the first word
    beqz    a4, 2f
    lbu     a5, (a1)
    sb      a5, (a3)
    addi    a1, a1, 1
    addi    a3, a3, 1
    addi    a2, a2, -1
    j       1b
2:  li      a6, 64
    bltu    a2, a6, 4f
3:  ld      t0, 0(a1)
    ld      t1, 8(a1)
    ld      t2, 16(a1)
    ld      t3, 24(a1)
    ld      t4, 32(a1)
    ld      t5, 40(a1)
    ld      t6, 48(a1)
    ld      a7, 56(a1)
    sd      t0, 0(a3)
    sd      t1, 8(a3)
    sd      t2, 16(a3)
    sd      t3, 24(a3)
    sd      t4, 32(a3)
    sd      t5, 40(a3)
    sd      t6, 48(a3)
    sd      a7, 56(a3)
    addi    a1, a1, 64
    addi    a3, a3, 64
    addi    a2, a2, -64
    bgeu    a2, a6, 3b
4:  li      a6, 8
    bltu    a2, a6, 5f
6:  ld      t0, (a1)
    sd      t0, (a3)
    addi    a1, a1, 8
    addi    a3, a3, 8
    addi    a2, a2, -8
    bgeu    a2, a6, 6b
5:  beqz    a2, 8f
7:  lbu     a5, (a1)
    sb      a5, (a3)
    addi    a1, a1, 1
    addi    a3, a3, 1
    addi    a2, a2, -1
    bnez    a2, 7b
8:  ret
    .size memcpy, . - memcpy

// Forward unless the destination lies inside the source.
    .global memmove
    .type memmove, %function
memmove:
    sub     a3, a0, a1
    bgeu    a3, a2, memcpy
    add     a1, a1, a2
    add     a3, a0, a2
    sub     a4, a3, a1
    andi    a4, a4, 7
    bnez    a4, 3f
1:  andi    a4, a3, 7
    beqz    a4, 2f
    beqz    a2, 4f
    lbu     a5, -1(a1)
    sb      a5, -1(a3)
    addi    a1, a1, -1
    addi    a3, a3, -1
    addi    a2, a2, -1
    j       1b
2:  li      a6, 8
    bltu    a2, a6, 3f
5:  ld      a5, -8(a1)
    sd      a5, -8(a3)
    addi    a1, a1, -8
    addi    a3, a3, -8
    addi    a2, a2, -8
    bgeu    a2, a6, 5b
3:  beqz    a2, 4f
    lbu     a5, -1(a1)
    sb      a5, -1(a3)
    addi    a1, a1, -1
    addi    a3, a3, -1
    addi    a2, a2, -1
    j       3b
4:  ret
    .size memmove, . - memmove

    .global memset
    .type memset, %function
memset:
    mv      a3, a0
    li      a6, 16
    bltu    a2, a6, 4f
    andi    a1, a1, 0xFF
    slli    a4, a1, 8
    or      a1, a1, a4
    slli    a4, a1, 16
    or      a1, a1, a4
    slli    a4, a1, 32
    or      a1, a1, a4
1:  andi    a4, a3, 7
    beqz    a4, 2f
    sb      a1, (a3)
    addi    a3, a3, 1
    addi    a2, a2, -1
    j       1b
2:  li      a6, 64
    bltu    a2, a6, 6f
3:  sd      a1, 0(a3)
    sd      a1, 8(a3)
    sd      a1, 16(a3)
    sd      a1, 24(a3)
    sd      a1, 32(a3)
    sd      a1, 40(a3)
    sd      a1, 48(a3)
    sd      a1, 56(a3)
    addi    a3, a3, 64
    addi    a2, a2, -64
    bgeu    a2, a6, 3b
6:  li      a6, 8
    bltu    a2, a6, 4f
7:  sd      a1, (a3)
    addi    a3, a3, 8
    addi    a2, a2, -8
    bgeu    a2, a6, 7b
4:  beqz    a2, 5f
8:  sb      a1, (a3)
    addi    a3, a3, 1
    addi    a2, a2, -1
    bnez    a2, 8b
5:  ret
    .size memset, . - memset
