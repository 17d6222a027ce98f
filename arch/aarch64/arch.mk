# Compiler and flags of the architecture (kernel code never touches FP/SIMD registers: the guest's stay live in them).
cross-prefixes := aarch64-none-elf- aarch64-linux-gnu-
arch-cflags    := -march=armv8-a -mgeneral-regs-only -mno-outline-atomics -mstrict-align -mbranch-protection=bti \
                  -mcmodel=small
arch-ldflags   := -Wl,-z,norelro
# No frame record costs one instruction less a call; x29 stays the caller's, so backtraces only leave these out.
arch-hot-cflags := -fomit-frame-pointer -ffixed-x29
