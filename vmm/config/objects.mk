config-objs := $(addprefix vmm/config/,config.o config_keys.o config_check.o schema.o plan.o) \
               $(addprefix vmm/config/arch/,board.o board_aarch64.o board_riscv64.o board_x86_64.o)
tool-objs += $(config-objs)
common-objs += $(config-objs) vmm/config/embed.o
host-objs += vmm/config/embed_host.o
