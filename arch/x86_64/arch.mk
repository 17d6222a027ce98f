# Compiler and flags of the architecture. No FP or vector registers: the guest's stay live in them. No red zone: traps push
# onto the interrupted stack.
cross-prefixes := x86_64-linux-gnu-
arch-cflags    := -m64 -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic -fcf-protection=none
arch-ldflags   := -m64 -Wl,-z,norelro
