common-objs += $(addprefix kernel/log/,log.o panic.o symbols.o)
common-objs += kernel/log/console.o
