tool-objs += kernel/lib/status.o
common-objs += kernel/lib/status.o
