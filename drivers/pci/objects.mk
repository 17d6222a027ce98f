ifeq ($(ARCH),x86_64)
driver-objs += $(addprefix drivers/pci/,pci.o pci_scan.o pci_host.o)
endif
host-objs += $(addprefix drivers/pci/,pci.o pci_scan.o) # tested and fuzzed here
