tool-objs += kernel/lib/status.o
common-objs += $(addprefix kernel/lib/,status.o early_map.o date.o)
toml-objs := $(addprefix kernel/lib/,toml.o toml_scan.o toml_string.o toml_scalar.o)
tool-objs += $(toml-objs)
common-objs += $(toml-objs)
