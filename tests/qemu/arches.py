# SPDX-License-Identifier: Apache-2.0
"""All that the scenarios have to know of an architecture: one table each, the same keys in all of them.

A scenario asks FACTS of lodge.py and has no `if` of its own. Code of small attackers is assembler text; what the
hypervisor or a guest says of the architecture is a regular expression.
"""

AARCH64 = {
    "platform": "qemu-aarch64",
    "cross": ["aarch64-none-elf-", "aarch64-linux-gnu-"],
    "as": [],
    "cpus": ["cortex-a53", "cortex-a72", "max"],
    "cpus_qemu10": ["cortex-a57", "max"],
    "machine": r"linux,dummy-virt",
    "uname": "aarch64",
    "ram_base": 0x4000_0000,
    "image": "lodge.bin",        # what QEMU loads
    "image_magic": (0x38, b"ARM\x64"),
    "elf_machine": 183,
    "elf_foreign": 62,           # a machine that is not this one

    # What scenarios may need: pytest.mark.needs(). "own-entry": a raw image that any boot loader can enter.
    # "idle-alone": a guest alone on its core sleeps without an exit.
    "has": {"device-tree", "own-entry", "idle-alone"},

    # Interrupt controllers of the machine: options of Machine, and what the banner says.
    "machines": {
        "gicv3": ({"gic": 3}, r"GICv3"),
        "gicv2": ({"gic": 2}, r"GICv2"),
    },
    # A machine that cannot virtualise, and what is said of it.
    "unable": ({"virt": False}, [r"EL2", r"virtualization=on"]),

    # Other ways in: where the image is put then, how the stub is entered, what it does.
    "load": 0x4020_0000,
    "stub_extra": "-device loader,file={stub},addr=0x40100000,cpu-num=0,force-raw=on",
    "stub_kernel": False,
    "stub": {"tree": "ldr x0, ={0:#x}", "jump": "ldr x1, ={0:#x}\nbr x1"},
    "own_tree": 0x4000_0000,     # where QEMU leaves the device tree then
    "near_tree": 0x4000_0000,    # within one large page of the image

    # Attackers. `lost` has vectors at an address where nothing lives, and faults.
    "attackers": {
        "unknown-call": "mov x0, #0x44000000\nhvc #0\n1: nop\nb 1b",
        "cpu-off": "mov x0, #0x84000000\nmovk x0, #2\nhvc #0\n1: nop\nb 1b",
    },
    "lost": "mov x0, #0x30000000\nmsr vbar_el1, x0\nisb\n.4byte 0",
    "lost_place": r"exception vectors",  # why such a guest stops
    "redteam_ends": {"lost": r"its exception vectors"},
    "redteam_together": False,
    "exception": r"exception: vector",
    "kernel_code": "1: nop\nb 1b",
    "load_raw": 0x4008_0000,

    # Builds of U-Boot for this board, as files of Debian's package.
    "u_boot": [],

    # What a guest sees.
    "status": r"GICv3, RAM at 0x40000000",
    "board": [("cat /proc/device-tree/compatible", r"dummy-virt"), ("cat /proc/interrupts", r"GICv3|arch_timer"),
              ("dmesg | grep -i psci", r"PSCIv1\.\d detected in firmware"), ("cat /sys/class/rtc/rtc0/name", r"pl031"),
              ("cat /sys/class/misc/hw_random/rng_available", r"smccc_trng"),
              ("head -c 64 /dev/hwrng | wc -c", r"\b64\b")],
    "not_on_board": ["pl061@9030000", "gpio-keys", "pcie@10000000", "fw-cfg@9020000", "flash@0", "pmu",
                     "platform-bus@c000000", "intc@8000000/its@8080000", "cpus/cpu-map"],
    # How it sees that others had its CPUs: the eighth number is not 0.
    "stolen_time": [("dmesg | grep -i 'stolen time'", r"using stolen time PV"),
                    ("grep '^cpu ' /proc/stat", r"cpu +(?:\d+ ){7}[1-9]")],
    "hole": 0x0C00_0000,         # where a guest finds nothing
    "custom_map": ("configs/custom-map.toml", r"80000000-\w+ : System RAM"),

    # What is said of registers: a line of a running vCPU's, a line of a fault card's.
    "registers": r"pc [0-9a-f]{16}  pstate",
    "pc": r"pc [0-9a-f]{16}",
    "frames": r"frame\s+return\s[\s\S]*1\s+0x4",
    "device_exits": "mmio",      # how a guest reaches its UART

    # Configurations: a device's interrupt that the UART has, how it is named, mistakes of this board only.
    "free_device": 0x0B00_0000,
    "uart_irq": (1, r"SPI 1\b"),
    "board_device": "uart",  # its place may be given in vm.board
    "config_cases": {
        "redistributors into the UART": (
            '[[vm]]\nname = "a"\n[[vm.memory]]\nbase = 0x8000_0000\nsize = "16M"\n[vm.boot]\nkernel = "heartbeat"\n'
            "[vm.board]\ngicd = 0x4000_0000\nuart = 0x4002_0000\ngicr = 0x4001_0000\nvirtio = 0x4003_0000\n",
            r"redistributors .*2 frames of 64 KiB.*run into.*(?i:uart)"),
    },

    # Kernels: the words of a refusal, and another architecture's Image.
    "no_kernel": r"not an arm64 kernel",
    "foreign_image": (b"RSC\x05", r"riscv64"),
}

RISCV64 = {
    "platform": "qemu-riscv64",
    "cross": ["riscv64-unknown-elf-", "riscv64-linux-gnu-"],
    "as": ["-march=rv64imac_zicsr_zifencei", "-mno-relax"],
    "cpus": ["rv64", "rv64,sstc=off", "rv64,f=off,d=off"],
    "cpus_qemu10": ["rv64", "max", "rva23s64", "rv64,sv48=off", "rv64,sstc=off", "rv64,zicbom=off,zicboz=off,svpbmt=off"],
    "machine": r"riscv-virtio,qemu",
    "uname": "riscv64",
    "ram_base": 0x8000_0000,
    "image": "lodge.bin",
    "image_magic": (0x38, b"RSC\x05"),
    "elf_machine": 243,
    "elf_foreign": 62,

    "has": {"device-tree", "own-entry", "idle-alone"},

    "machines": {
        "plic": ({}, r"PLIC"),
        "aplic": ({"aia": "aplic"}, r"APLIC"),
        "imsic": ({"aia": "aplic-imsic"}, r"IMSIC"),
        "imsic-guests": ({"aia": "aplic-imsic", "aia_guests": 2}, r"IMSIC"),
    },
    "unable": ({"cpu": "rv64,h=off"}, [r"no hypervisor extension"]),

    "load": 0x8040_0000,
    "stub_extra": "",
    "stub_kernel": True,         # the firmware enters what -kernel names, at 0x8020_0000
    "stub": {"tree": "li a1, {0:#x}", "jump": "li t0, {0:#x}\njr t0",
             "copy": "li t0, {0:#x}\nli t1, 0x10000\n"
                     "1: ld t2, (a1)\nsd t2, (t0)\naddi a1, a1, 8\naddi t0, t0, 8\naddi t1, t1, -8\nbnez t1, 1b"},
    "own_tree": None,            # in a1 already
    "near_tree": 0x803E_0000,

    "attackers": {
        "unknown-call": "li a7, 0x0A000000\nli a6, 7\necall\n1: nop\nj 1b",
        "cpu-off": "li a7, 0x48534D\nli a6, 1\necall\n1: nop\nj 1b",
    },
    "lost": "li t0, 0x30000000\ncsrw stvec, t0\n.4byte 0",
    "lost_place": r"exception vectors",
    "redteam_ends": {"lost": r"its exception vectors"},
    "redteam_together": False,
    "exception": r"exception: scause",
    "kernel_code": "1: nop\nj 1b",
    "load_raw": 0x8020_0000,

    "u_boot": ["qemu-riscv64_smode/u-boot.bin", "qemu-riscv64_smode/uboot.elf"],

    "status": r"PLIC, RAM at 0x80000000",
    "board": [("cat /proc/device-tree/compatible", r"riscv-virtio"), ("cat /proc/interrupts", r"SiFive PLIC"),
              ("dmesg | grep -i sbi", r"SBI specification v2\.0 detected"), ("cat /sys/class/rtc/rtc0/name", r"goldfish")],
    "not_on_board": ["pci@30000000", "soc/pci@30000000", "flash@20000000", "fw-cfg@10100000", "pmu", "cpus/cpu-map",
                     "platform-bus@4000000", "soc/clint@2000000"],
    "stolen_time": [],           # Debian's kernel is built without CONFIG_PARAVIRT
    "hole": 0x0300_0000,
    "custom_map": ("configs/custom-map-riscv64.toml", r"100000000-\w+ : System RAM"),

    "registers": r"pc   [0-9a-f]{16}  mode VS",
    "pc": r"pc   [0-9a-f]{16}",
    "frames": r"frame\s+return\s[\s\S]*1\s+0x8",
    "device_exits": "mmio",

    "free_device": 0x1200_0000,
    "uart_irq": (10, r"source 10\b"),
    "board_device": "uart",  # its place may be given in vm.board
    "config_cases": {
        "harts into the UART": (
            '[[vm]]\nname = "a"\nmemory = "16M"\nirqchip = "aia"\ncpus = 4\n[vm.boot]\nkernel = "heartbeat"\n'
            "[vm.board]\nimsic = 0x2000_0000\nuart = 0x2000_2000\n", r"overlaps"),
    },

    "no_kernel": r"not a riscv64 kernel",
    "foreign_image": (b"ARM\x64", r"aarch64"),
}

X86_64 = {
    "platform": "qemu-x86_64",
    "cross": ["x86_64-linux-gnu-"],
    "as": [],
    "cpus": ["max"],
    "cpus_qemu10": ["max"],
    "machine": r"an unnamed machine",
    "uname": "x86_64",
    "ram_base": 0,
    "image": "lodge.elf",
    "image_magic": (0, b"\x7fELF"),
    "elf_machine": 62,
    "elf_foreign": 183,

    # An exit by a host interrupt would end the HLT of an SVM guest: it is always trapped.
    "has": set(),

    "machines": {"apic": ({}, r"APIC")},
    "unable": ({"cpu": "max,svm=off"}, [r"neither VMX nor SVM"]),

    "load": 0x20_0000,
    "stub_extra": "",
    "stub_kernel": True,
    "stub": {},
    "own_tree": None,
    "near_tree": None,

    # Entered in 32-bit mode. `lost` has no interrupt table, and faults.
    "attackers": {
        "unknown-call": ".code32\nmov $0x0A000000, %eax\n1: vmmcall\njmp 1b",
        "cpu-off": ".code32\ncli\n1: hlt\njmp 1b",
        "unknown-ports": ".code32\nxor %edx, %edx\n1: in %dx, %eax\nout %eax, %dx\ninc %dx\njmp 1b",
        # Prefixed forms, whose length the hypervisor may get wrong: on in the midst of it, whatever that means.
        "prefixed-cpuid": ".code32\n1: .byte 0x66, 0x0F, 0xA2\n.fill 5, 1, 0x90\njmp 1b",
        "prefixed-call": ".code32\n1: .byte 0xF3, 0x0F, 0x01, 0xD9\n.fill 8, 1, 0x90\njmp 1b",
        "prefixed-rdmsr": ".code32\nmov $0x10, %ecx\n1: .byte 0x66, 0x0F, 0x32\n.fill 8, 1, 0x90\njmp 1b",
        "prefixed-wrmsr": ".code32\nmov $0x10, %ecx\n1: .byte 0x66, 0x0F, 0x30\n.fill 8, 1, 0x90\njmp 1b",
        "prefixed-halt": ".code32\n1: .byte 0xF2, 0x2E, 0xF4\nnop\njmp 1b",
        # The page directory is its own page tables, or a device.
        "tables-of-themselves": ".code32\nmov $0x200000, %edi\nmov %edi, %cr3\nmov $0x200003, %eax\nmov $1024, %ecx\n"
                                "rep stosl\nmov $0x80000001, %eax\nmov %eax, %cr0\n1: jmp 1b",
        "tables-in-devices": ".code32\nmov $0xFED00000, %eax\nmov %eax, %cr3\nmov $0x80000001, %eax\nmov %eax, %cr0\n1: jmp 1b",
        # By a far jump to another task's descriptor: the hypervisor does not emulate this.
        "task-switch": ".code32\ns: lgdt 0x100000 + gdtr - s\nljmp $8, $0x100000 + f - s\nf: mov $0x18, %ax\nltr %ax\n"
                       "ljmp $0x20, $0\ngdtr: .word 39\n.long 0x100000 + gdt - s\ngdt: .quad 0, 0x00CF9B000000FFFF, "
                       "0x00CF93000000FFFF, 0x0000891800000067, 0x0000891900000067",
        # Exceptions without end: the handler of #UD is undefined itself, that of #DB takes another step.
        "exceptions": ".code32\ns: lidt 0x100000 + idtr - s\nlgdt 0x100000 + gdtr - s\nmov $0x180000, %esp\n"
                      "ljmp $8, $0x100000 + u - s\nu: mov $0x180000, %esp\nud2\nidtr: .word 55\n.long 0x100000 + idt - s\n"
                      "gdtr: .word 23\n.long 0x100000 + gdt - s\n.balign 8\ngdt: .quad 0, 0x00CF9B000000FFFF, "
                      "0x00CF93000000FFFF\nidt: .quad 0, 0, 0, 0, 0, 0\n.word u - s, 8, 0x8E00, 0x10",
        "steps": ".code32\ns: lidt 0x100000 + idtr - s\nlgdt 0x100000 + gdtr - s\nmov $0x180000, %esp\n"
                 "ljmp $8, $0x100000 + f - s\nf: pushf\norl $0x100, (%esp)\npopf\n1: jmp 1b\n"
                 "d: orl $0x100, 8(%esp)\niret\nidtr: .word 15\n.long 0x100000 + idt - s\n"
                 "gdtr: .word 23\n.long 0x100000 + gdt - s\n.balign 8\ngdt: .quad 0, 0x00CF9B000000FFFF, "
                 "0x00CF93000000FFFF\nidt: .quad 0\n.word d - s, 8, 0x8E00, 0x10",
        # Ports and memory from their ends on: both wrap.
        "wraps": ".code32\ncld\nmov $0xFFFF, %dx\n1: in %dx, %eax\nmov $0xFFFFFFF0, %edi\nmov $64, %ecx\nrep insl\n"
                 "mov $-1, %ecx\nrep insb\njmp 1b",
    },
    "lost": ".code32\ncli\nud2\nhlt",
    "lost_place": r"triple fault",
    "redteam_ends": {"lost": r"triple fault", "walk": r"page tables in memory that is not there",
                     "entry": r"the CPU refuses to enter the guest", "stack": r"an exception or interrupt whose stack"},
    "redteam_together": True,
    # Reading where nothing is gives all ones on a PC.
    "exception": r"(?:exception: vector|crash: read 0xffffffff)",
    "kernel_code": "1: nop\njmp 1b",
    "load_raw": 0x10_0000,

    "u_boot": [],

    "status": r"x2APIC, RAM at 0x0",
    "board": [("cat /sys/devices/system/clocksource/clocksource0/current_clocksource", r"kvm-clock\b"),
              ("grep ^cpu0 /proc/stat", r"cpu0(?: \d+){10}")],
    "not_on_board": [],
    "stolen_time": [],
    "hole": 0xF000_0000,
    "custom_map": ("configs/custom-map-x86_64.toml", r"100000000-\w+ : System RAM"),

    "registers": r"rip  [0-9a-f]{16}  cs",
    "pc": r"rip  [0-9a-f]{16}",
    "frames": r"frame\s+return\s[\s\S]*1\s+0x10",
    "device_exits": "pio",

    "free_device": 0xFEA0_0000,
    "uart_irq": (4, r"GSI 4\b"),
    "board_device": "virtio",  # its place may be given in vm.board
    "config_cases": {},

    "no_kernel": r"not an x86_64 kernel",
    "foreign_image": (b"ARM\x64", r"aarch64"),
}

ARCHES = {"aarch64": AARCH64, "riscv64": RISCV64, "x86_64": X86_64}
assert AARCH64.keys() == RISCV64.keys() == X86_64.keys()
