#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: what operations cost in executed instructions, beside their budgets and the best peer.

The guest guests/bench does the counting under -icount; this script makes its images, runs the machines two at a time,
puts the figures together and compares them with tests/bench-budgets.toml. docs/bench.md explains the method.
The last line is "bench: N passed, N failed", where each row of the table is one test. Exit status 1 when one failed:
its figure is missing or exceeds the budget by more than 2 %, if the compiler is the one that the budgets are for.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARCH = os.environ.get("ARCH") or "aarch64"
PLATFORM = os.environ.get("PLATFORM") or f"qemu-{ARCH}"
BUILD = os.environ.get("B") or f"build/{PLATFORM}"
SCALE = float(os.environ.get("LODGE_TIMEOUT_SCALE") or "1")
COMPILER = "12.2.0"   # Debian 12's gcc
TOLERANCE = 1.02
CACHE = os.environ.get("LODGE_CACHE") or os.path.expanduser("~/.cache/lodge")
IDLE = "idle"
HEAD = '[host]\nlog = "err"\non_last_stop = "poweroff"\n'
BLOCK = '[[vm.device]]\nmodel = "virtio-blk"\nbackend = "ram:"\nsize = "1M"\n'
LINUX = "cryptomgr.notests=1 lodge.run=poweroff,-f"  # the kernel tests its ciphers for a random time otherwise
CONSOLE = '[[vm.device]]\nmodel = "virtio-console"\n'

# What differs between architectures. hz: the guest's counter, when an instruction takes a nanosecond; image, firmware:
# addresses by which the plugin knows the hypervisor and what runs below it (linker/, OpenSBI).
ARCHES = {
    "aarch64": {"cpu": "cortex-a57", "hz": 62_500_000, "cross": "aarch64-linux-gnu-", "native": {"VIRT": "off"}, "boot": (16, 32), "tty": "ttyAMA0",
                "plugin": "arch=aarch64,image=0x600000000000",
                "checked": ("hvc", "smc", "gicd", "pl011", "id_")},
    "riscv64": {"cpu": "rv64", "hz": 1_000_000_000, "cross": "riscv64-linux-gnu-", "native": {}, "boot": (4, 20), "tty": "ttyS0",
                "plugin": "arch=riscv64,image=0x3000000000,firmware=0x80200000,off=0x100000",
                "checked": ("sbi", "plic", "uart", "virtio_magic")},
    "x86_64": {"cpu": "max", "hz": 1_000_000_000, "cross": "x86_64-linux-gnu-", "boot": (4, 20), "tty": "ttyS0",
               "native": {"CHIPSET": "microvm,acpi=on,pit=on,pic=on,rtc=on"},  # what is most like the virtual PC: no PCI
               "plugin": "arch=x86_64,image=0xffffffff80200000",
               "checked": ("vmmcall", "cpuid", "uart", "ioapic", "apic_id", "virtio_magic")},
}
HERE = ARCHES[ARCH]
BOOT_SIZES = HERE["boot"]  # MiB
BY_PLUGIN = "" if ARCH == "x86_64" else None  # its guests have no clock in common, and none that runs since reset
CROSS = os.environ.get("CROSS_COMPILE") or HERE["cross"]


def vm(name, role, memory="16M", more="", device=""):
    return (f'[[vm]]\nname = "{name}"\nmemory = "{memory}"\n{more}\n'
            f'[vm.boot]\nkernel = "bench"\ncmdline = "{role}"\n{device}\n')


def sched(**keys):
    return "[vm.sched]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())


def make(*arguments):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "OUT", "CONFIG")}
    command = ["make", f"-j{os.cpu_count() or 1}", f"ARCH={ARCH}", f"PLATFORM={PLATFORM}", *arguments]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: make {' '.join(arguments)} failed\n{done.stdout[-3000:]}")


def smp_qemu():
    """Before version 8.1, under -icount, a RISC-V hart that waits for another one in a loop may starve it for ever."""
    folder = f"{CACHE}/qemu10/usr"
    if ARCH != "riscv64" or not os.path.exists(f"{folder}/bin/qemu-system-{ARCH}"):
        return {}
    return {"QEMU_PREFIX": f"{folder}/bin/"}  # with the installed OpenSBI, whose part of the figures is the smaller one


class Scenario:
    """An image with a configuration, run once; `lines` holds what the guests printed: (guest, words)."""

    def __init__(self, name, config, smp=1, mem="256M", plugin=None):
        self.name, self.smp, self.mem, self.plugin_mode = name, smp, mem, plugin
        self.qemu = smp_qemu() if smp > 1 else {}
        self.out = f"{BUILD}/bench/{name}"
        self.config = HEAD + config
        self.lines, self.plugin, self.text = [], {}, ""
        self.seed = 1

    def build(self):
        os.makedirs(self.out, exist_ok=True)
        with open(f"{self.out}/bench.toml", "w", encoding="utf-8") as f:
            f.write(self.config)
        make("image", f"CONFIG={self.out}/bench.toml", f"OUT={self.out}")

    def places(self):
        """Where the functions are that only clear fresh memory and guests', and where a PC's boot loader enters."""
        out = subprocess.run([f"{CROSS}nm", "-S", f"{self.out}/lodge.elf"], stdout=subprocess.PIPE, text=True, check=True)
        found = re.findall(r"^(\w+) (\w+) \w (?:arch_zero_pages\w*|zero_by_stores)$", out.stdout, re.MULTILINE)
        start = re.search(r"^(\w+) A pvh_entry_pa$", out.stdout, re.MULTILINE)
        return (f",start={int(start[1], 16):#x}" if start else "") + "".join(
            f",clear={int(at, 16):#x}-{int(at, 16) + int(size, 16):#x}" for at, size in found)

    def machine(self):
        return {"KERNEL": f"{self.out}/{'lodge.elf' if ARCH == 'x86_64' else 'lodge.bin'}", "VIRT": "on", "INITRD": "", "APPEND": ""}

    def run(self, plugin, limit):
        extra = f"-icount shift=0,sleep=off -seed {self.seed}"
        result = f"{self.out}/plugin.txt"
        if plugin and self.plugin_mode is not None:
            extra += f" -plugin file={plugin},out={result},{HERE['plugin']}{self.plugin_mode}{self.places()}"
        env = dict(os.environ, ARCH=ARCH, PLATFORM=PLATFORM, SMP=str(self.smp), MEM=self.mem, GIC="3", AIA="none",
                   CPU=HERE["cpu"], DISK="none", EXTRA=extra, MACHINE="", **self.qemu, **self.machine())
        log = f"{self.out}/serial.log"
        with open(log, "wb") as f:
            process = subprocess.Popen(["scripts/qemu", "run", self.out], env=env, stdin=subprocess.DEVNULL, stdout=f,
                                       stderr=subprocess.STDOUT)
            end = time.monotonic() + limit
            while process.poll() is None and not self.finished(log) and time.monotonic() < end:
                time.sleep(0.1)
            if process.poll() is None:
                if not self.finished(log):
                    print(f"bench: {self.name}: no end within {limit:.0f} s, see {log}", file=sys.stderr)
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.read(log)
        if extra.find("-plugin") >= 0 and os.path.exists(result):
            with open(result, encoding="utf-8") as f:
                for words in (w for w in map(str.split, f) if w[0] in ("entry", "series", "switch", "total")):
                    self.plugin.setdefault(words[0], []).append([int(w) for w in words[1:]])
        return self

    def read(self, log):
        with open(log, encoding="utf-8", errors="replace") as f:
            self.text = f.read().replace("\r", "")
        self.lines = [(m[1] or "bench", m[2].split())
                      for m in re.finditer(r"^(?:\[(\w+)(?::\w+)?\] )?(bench.*)", self.text, re.MULTILINE)]

    def finished(self, log):
        """All guests but the sleeping ones are done, or there are none. Other machines end by themselves."""
        with open(log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        done = text.count("bench done") >= self.config.count("[[vm]]") - self.config.count(f'cmdline = "{IDLE}"')
        return done and "idle" in self.config or "no guest could be started" in text

    def values(self, guest="bench"):
        """Medians by name."""
        return {w[1]: float(w[2]) for who, w in self.lines if who == guest and w[0] == "bench" and len(w) > 2}

    def series(self, guest, name):
        return [int(n) for who, w in self.lines if who == guest and w[:2] == ["bench-list", name] for n in w[2:]]


class Native(Scenario):
    """The machine without a hypervisor: a kernel and what a boot loader would hand over."""

    def __init__(self, name, kernel, append, initrd="", **more):
        super().__init__(name, "", **more)
        self.kernel, self.append, self.initrd = kernel, append, initrd

    def build(self):
        os.makedirs(self.out, exist_ok=True)
        make("guests")

    def places(self):
        return ""

    def machine(self):
        return {"KERNEL": self.kernel, "APPEND": self.append, "INITRD": self.initrd, **HERE["native"]}


# ---- the machines ----------------------------------------------------------------------------------------------------

def shared_core(n):
    """A sleeper and a computing guest on one core, beside n - 2 guests that sleep for ever."""
    text = vm("yield", "yield", more=sched(priority=9, pcpus="[0]"))
    text += vm("spin", "spin", more=sched(priority=7, pcpus="[0]"))
    return text + "".join(vm(f"idle{i}", IDLE, more=sched(pcpus="[0]")) for i in range(n - 2))


def one_among(n):
    return vm("bench", "calls", more=sched(priority=9)) + "".join(vm(f"idle{i}", IDLE) for i in range(n - 1))


def linux():
    """Debian's kernel until it powers off, alone and on Lodge; everything that the machine executes is counted."""
    command, debian = f"console={HERE['tty']} {LINUX}", f"{CACHE}/guests/{ARCH}/debian"
    yield Native("linux-native", f"{debian}/kernel", command, f"{debian}/initrd", mem="512M", plugin=",total=1")
    config = f'[[vm]]\nname = "linux"\nmemory = "512M"\n[vm.boot]\nkernel = "debian"\ncmdline = "{command}"\n'
    yield Scenario("linux", config, mem="1G", plugin=",total=1")


def scenarios():
    """The longest first."""
    yield from linux()
    yield from [Scenario(f"share{n}", shared_core(n), mem="2G", plugin=BY_PLUGIN) for n in (64, 8)]
    yield Scenario("share", shared_core(2), plugin=BY_PLUGIN)
    yield Scenario("exits", vm("bench", "exits interrupts virtio", "64M", device=BLOCK), plugin="")
    yield Scenario("console", vm("bench", "virtio", device=CONSOLE))
    if ARCH == "aarch64":
        yield Scenario("gicv2", vm("bench", "interrupts", more='gic = "v2"\n'))
    yield Scenario("pair", vm("bench", "pair", more="cpus = 2\n" + sched(pcpus="[0, 1]")), smp=2)
    yield from [Scenario(f"boot{n}", vm("bench", "boot", f"{n}M"), plugin="" if n == BOOT_SIZES[0] else BY_PLUGIN)
                for n in BOOT_SIZES]
    if ARCH == "riscv64":
        yield Native("firmware", f"{BUILD}/guests/bench.bin", "boot")
    yield from [Scenario(f"calls{n}", one_among(n), mem="2G") for n in (64, 8)]


# ---- the figures -----------------------------------------------------------------------------------------------------

def switch_cost(s):
    """From the sleeper's WFI to the other guest's next look at the counter, both on the machine's one clock."""
    if BY_PLUGIN is not None:
        counts = sorted(count for count, in s.plugin.get("switch", []))
        return counts[len(counts) // 2] - 1 if len(counts) >= 50 else None  # STI is not part of it
    asleep, back = s.series("yield", "sleep"), s.series("spin", "back")
    tick = 1_000_000_000 / HERE["hz"]
    costs = []
    for t in asleep:
        after = [b for b in back if b >= t]
        if after and (after[0] - t) * tick < 8000:
            costs.append(after[0] - t)
    # A tick is many instructions, but their phases differ: the mean is finer than a tick.
    return sum(costs) / len(costs) * tick if len(costs) >= 50 else None


def image_size(elf):
    out = subprocess.run([f"{CROSS}size", "-A", elf], stdout=subprocess.PIPE, text=True, check=True).stdout
    sizes = {w[0]: int(w[1]) for w in map(str.split, out.splitlines()) if len(w) == 3 and w[1].isdigit()}
    return sum(sizes.get(s, 0) for s in (".text", ".rodata", "shell_commands", "drivers", ".lodge_symbols"))


def entry(s):
    if s and BY_PLUGIN is not None:
        found = s.plugin.get("entry")
        return found[0][0] - found[0][2] if found else None
    return s.values().get("entry_instructions") if s else None


def boot_figures(by_name):
    """The firmware's own part is what the same guest finds on the same machine without a hypervisor."""
    figures = {}
    first, second = BOOT_SIZES
    small, large = (entry(by_name.get(f"boot{n}")) for n in BOOT_SIZES)
    below = (entry(by_name.get("firmware")) if ARCH == "riscv64" else 0)
    if small is not None and below is not None:
        figures["entry"] = small - below
    if small is not None and large is not None:
        figures["entry_per_mib"] = (large - small) / (second - first)
    if f"boot{first}" in by_name:
        s = by_name[f"boot{first}"]
        figures["image_size"] = image_size(f"{s.out}/lodge.elf")
        if s.plugin.get("entry"):
            figures["ram_written"] = s.plugin["entry"][0][1] * 4
    return figures


def linux_figures(native, lodge):
    """In per cent: how much more than alone, and how much of that is the hypervisor. Nothing when one came to no end."""
    if not all(s.plugin.get("total") and "Power down" in s.text for s in (native, lodge)):
        return {}
    alone, (whole, hypervisor, _) = native.plugin["total"][0][0], lodge.plugin["total"][0]
    return {"linux_overhead": (whole / alone - 1) * 100, "linux_share": hypervisor / whole * 100}


# A figure, the scenario and how it is read.
READ = [("cross_sgi", "pair", lambda s: s.values().get("pair_sgi")),
        ("vcpu_switch", "share", switch_cost), ("switch_8_guests", "share8", switch_cost),
        ("switch_64_guests", "share64", switch_cost)]
FIRST_CALL = {"aarch64": "hvc_psci_version", "riscv64": "sbi_spec_version", "x86_64": "vmmcall"}[ARCH]
READ += [(f"call_{n}_guests", f"calls{n}", lambda s: s.values().get(FIRST_CALL)) for n in (8, 64)]


def collect(by_name):
    figures = {}
    for name in ("exits", "console", "gicv2"):
        if name in by_name:
            figures.update(by_name[name].values())
    figures.update(boot_figures(by_name))
    if {"linux", "linux-native"} <= by_name.keys():
        figures.update(linux_figures(by_name["linux-native"], by_name["linux"]))
    figures.update({figure: read(by_name[name]) for figure, name, read in READ if name in by_name})
    return {k: v for k, v in figures.items() if v is not None}


# ---- the plugin ------------------------------------------------------------------------------------------------------

def build_plugin():
    """The cross-check by QEMU's plugin interface; None where this QEMU has another version of it."""
    version = subprocess.run([f"qemu-system-{ARCH}", "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    if not re.search(r"version [67]\.", version) or not shutil.which("gcc"):
        return None
    out = f"{BUILD}/bench/plugin.so"
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o", out,
                    "tools/bench_plugin/bench_plugin.c"], check=True)
    return out


def cross_check(s):
    """Compares each synchronous row with the plugin's count of the hypervisor's instructions in a batch of 64."""
    names = [w[1] for who, w in s.lines if who == "bench" and w[0] == "bench" and len(w) > 3]
    bad = []
    for name, numbers in zip(names, s.plugin.get("series", [])):
        counted, seen = sum(numbers[2:]) / 64, s.values()[name]
        if counted and name.startswith(HERE["checked"]) and abs(seen - counted) > 7:
            bad.append(f"{name}: guest {seen:.0f}, plugin {counted:.0f}")
    return bad


# ---- the table -------------------------------------------------------------------------------------------------------

def show(value, unit=""):
    if value is None:
        return "-"
    if unit == "%":
        return f"{value:.1f} %"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.1f}"


def remark(row, value, missed):
    """What stands behind a row: it fails, or it has not reached yet what it shall."""
    if missed:
        return "  <-- over"
    goal = row.get("goal")
    return f"  (goal {show(goal, row.get('unit', ''))})" if goal is not None and value > goal * TOLERANCE else ""


def print_table(figures, budgets):
    """Prints it; the rows that failed."""
    failed = []
    print(f"{'operation':<48} {'measured':>12} {'budget':>12}  best peer")
    for name, row in budgets.items():
        value, unit = figures.get(name), row.get("unit", "")
        # Counts are compared as whole numbers: a tick of the counter may be many instructions.
        missed = value is None or (value if unit else round(value)) > row["budget"] * TOLERANCE
        if missed:
            failed.append(row["text"] + (": not measured" if value is None else ""))
        print(f"{row['text']:<48} {show(value, unit):>12} {show(row['budget'], unit):>12}  "
              f"{row.get('peer', '-')}{remark(row, value, missed)}")
    return failed


def compiler_version():
    return subprocess.run([f"{CROSS}gcc", "-dumpfullversion"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


def run_all(wanted, options):
    plugin = None if options.no_plugin or not HERE["plugin"] else build_plugin()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = []
        for s in wanted:  # one make at a time: the objects are the same
            s.build()
            running.append(pool.submit(s.run, plugin, options.limit * SCALE))
        return {s.name: s for s in (r.result() for r in running)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-plugin", action="store_true")
    parser.add_argument("--limit", type=int, default=120, help="seconds for one machine")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="machines at a time")
    parser.add_argument("--only", help="scenarios whose name this fits (exits, boot, share, ...), not judged")
    options = parser.parse_args()
    os.chdir(TOP)
    with open("tests/bench-budgets.toml", "rb") as f:
        budgets = tomllib.load(f)[ARCH]
    by_name = run_all([s for s in scenarios() if not options.only or re.search(options.only, s.name)], options)
    figures = collect(by_name)
    if options.only:
        budgets = {k: v for k, v in budgets.items() if k in figures}
    failed = print_table(figures, budgets)
    for line in cross_check(by_name["exits"]) if "exits" in by_name else []:
        print(f"bench: guest and plugin disagree: {line}")
        failed.append(line)
    if options.only:
        return 0
    if compiler_version() != COMPILER:
        print(f"bench: the budgets are for gcc {COMPILER}, this is {compiler_version()}: not judged")
        failed = []
    for row in failed:
        print(f"FAILED {row}")
    print(f"bench: {len(budgets) - min(len(failed), len(budgets))} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
