common-objs += $(addprefix kernel/sched/,runq.o server.o payer.o balance.o switch.o thread.o wait.o mutex.o)
