# Compiler and flags of the architecture. No FP or vector registers: the guest's stay live in them. No red zone: traps push
# onto the interrupted stack.
cross-prefixes := x86_64-linux-gnu-
arch-cflags    := -m64 -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic -fcf-protection=none
arch-ldflags   := -m64 -Wl,-z,norelro
# What every exit runs makes no frame of its own: a backtrace goes through its callers' (rbp stays theirs).
arch-hot-cflags := -fomit-frame-pointer -ffixed-rbp
arch-hot        := arch/x86_64/svm/% arch/x86_64/vmx/% arch/x86_64/cpu/time.% arch/x86_64/cpu/lapic.%
