common-objs += $(addprefix kernel/sched/,runq.o thread.o wait.o mutex.o)
