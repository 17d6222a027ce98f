common-objs += kernel/time/timer.o
common-objs += kernel/time/wallclock.o
