# Compiler and flags of the architecture (kernel code never touches FP/SIMD registers: the guest's stay live in them).
cross-prefixes := aarch64-none-elf- aarch64-linux-gnu-
arch-cflags    := -march=armv8-a -mgeneral-regs-only -mno-outline-atomics -mstrict-align -mbranch-protection=bti \
                  -mcmodel=small
arch-ldflags   := -Wl,-z,norelro
