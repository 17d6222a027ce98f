common-objs += $(addprefix kernel/log/,log.o panic.o symbols.o)
