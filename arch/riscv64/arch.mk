# Compiler and flags of the architecture (kernel code never touches FP or vector registers: the guest's stay live in them;
# nor gp, so an exit need not save it: the linker script has no __global_pointer$.
# No relaxation: with it harts after the first do not start).
cross-prefixes := riscv64-linux-gnu- riscv64-unknown-elf-
arch-cflags    := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -mstrict-align \
                  -msmall-data-limit=0 -fno-tree-slp-vectorize
# No frame record costs four to six instructions less a call; s0 stays the caller's, so backtraces only leave these out.
arch-hot-cflags := -fomit-frame-pointer -ffixed-s0
# There are no pre- and post-indexed stores here: frames are dearer than on aarch64, so more files go without.
arch-hot       := arch/riscv64/cpu/time.% arch/riscv64/cpu/builtins.% vmm/virtio/virt% vmm/backend/char_mux%
arch-ldflags   := -march=rv64imac_zicsr_zifencei -mabi=lp64 -Wl,--no-relax -Wl,-z,norelro
