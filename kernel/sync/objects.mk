common-objs += kernel/sync/spinlock.o
