common-objs += $(addprefix kernel/mm/,page.o pool.o aspace.o vmap.o pt_arm64.o pt_riscv.o pt_x86.o)
