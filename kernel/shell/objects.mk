common-objs += $(addprefix kernel/shell/,line.o out.o complete.o shell.o cmd_host.o)
