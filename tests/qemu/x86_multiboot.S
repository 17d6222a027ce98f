// SPDX-License-Identifier: Apache-2.0
//
// A multiboot kernel that says its command line. Linked at 1 MiB; HEADER_FLAGS: with 0x10000 the header has the addresses,
// without them it is an ELF32 file.
.code32
.globl _start
_start:
    jmp 1f
.balign 4
header:
    .long 0x1BADB002, HEADER_FLAGS, -(0x1BADB002 + HEADER_FLAGS)
    .long header, _start, 0, end, _start
1:  cmp $0x2BADB002, %eax
    jne bad
    mov (%ebx), %eax
    and $0x45, %eax                 // memory, command line, map
    cmp $0x45, %eax
    jne bad
    cmpl $639, 4(%ebx)              // KiB from 0 on
    jne bad
    cmpl $15360, 8(%ebx)            // from 1 MiB on: 16 MiB in all
    jne bad
    cmpl $0, zeroed
    jne bad
    mov 16(%ebx), %esi
    jmp 2f
bad:
    mov $failed, %esi
2:  mov $0x3F8, %dx
    cld
3:  lodsb
    test %al, %al
    jz 4f
    out %al, %dx
    jmp 3b
4:  mov $13, %al
    out %al, %dx
    mov $10, %al
    out %al, %dx
5:  cli
    hlt
    jmp 5b
failed: .asciz "FAILED"
.bss
zeroed: .skip 4096
end:
