arch-objs += $(addprefix arch/riscv64/, \
  boot/entry.o boot/boot.o \
  cpu/vectors.o cpu/trap.o cpu/cpu.o cpu/sbi.o cpu/isa.o cpu/time.o cpu/string.o cpu/builtins.o \
  mmu/early_map.o mmu/mmu.o mmu/seal.o)
