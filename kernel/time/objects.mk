common-objs += kernel/time/timer.o
