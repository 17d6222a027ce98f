main-objs += kernel/main.o kernel/selftest.o
selftest-objs := $(if $(SELFTEST),tests/contract/contract.o tests/contract/entry.o tests/lifecycle/churn.o)
