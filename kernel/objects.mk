main-objs += kernel/main.o
