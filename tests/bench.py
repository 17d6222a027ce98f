#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: what operations cost in executed instructions, beside their budgets and the best peer.

The guest guests/bench does the counting under -icount; this script makes its images, runs the machines, puts the
figures together and compares them with tests/bench-budgets.toml. docs/bench.md explains the method.

Exit status 1 when a figure exceeds its budget by more than 2 %, if the compiler is the one that the budgets are for.
"""
import argparse
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
COMPILER = "12.2.0"   # Debian 12's gcc
TOLERANCE = 1.02
IDLE = "idle"
HEAD = '[host]\nlog = "err"\non_last_stop = "poweroff"\n'


def vm(name, role, memory="16M", more="", device=""):
    return (f'[[vm]]\nname = "{name}"\nmemory = "{memory}"\n{more}\n'
            f'[vm.boot]\nkernel = "bench"\ncmdline = "{role}"\n{device}\n')


def sched(**keys):
    return "[vm.sched]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())


class Scenario:
    """An image with a configuration, run once; `lines` holds what the guests printed: (guest, words)."""

    def __init__(self, name, config, smp=1, mem="256M", console=False):
        self.name, self.smp, self.mem = name, smp, mem
        self.out = f"{BUILD}/bench/{name}"
        self.config = HEAD + config
        self.lines, self.plugin = [], {}

    def build(self):
        os.makedirs(self.out, exist_ok=True)
        with open(f"{self.out}/bench.toml", "w", encoding="utf-8") as f:
            f.write(self.config)
        command = ["make", f"-j{os.cpu_count() or 1}", f"ARCH={ARCH}", f"PLATFORM={PLATFORM}", "image",
                   f"CONFIG={self.out}/bench.toml", f"OUT={self.out}"]
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "OUT", "CONFIG")}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            sys.exit(f"bench: {self.name}: make image failed\n{done.stdout[-3000:]}")

    def run(self, plugin, limit):
        self.build()
        extra = "-icount shift=0,sleep=off -seed 1"
        result = f"{self.out}/plugin.txt"
        if plugin:
            extra += f" -plugin file={plugin},out={result}"
        env = dict(os.environ, ARCH=ARCH, PLATFORM=PLATFORM, SMP=str(self.smp), MEM=self.mem, GIC="3", CPU="cortex-a57",
                   DISK="none", INITRD="", APPEND="", EXTRA=extra, KERNEL=f"{self.out}/lodge.bin", VIRT="on", MACHINE="")
        with open(f"{self.out}/serial.log", "w", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen(["scripts/qemu", "run", self.out], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT)
            end = time.monotonic() + limit
            while process.poll() is None and not self.finished() and time.monotonic() < end:
                time.sleep(0.2)
            if process.poll() is None:
                if not self.finished():
                    print(f"bench: {self.name}: no end within {limit} s", file=sys.stderr)
                process.terminate()
                process.wait()
        with open(f"{self.out}/serial.log", encoding="utf-8", errors="replace") as log:
            self.lines = [(m[1], m[2].split()) for m in re.finditer(r"\[(\w+)\] (bench.*)", log.read().replace("\r", ""))]
        if plugin and os.path.exists(result):
            self.read_plugin(result)
        return self

    def finished(self):
        """All guests but the sleeping ones are done, or there are none. A machine that the plugin watches ends by itself."""
        with open(f"{self.out}/serial.log", encoding="utf-8", errors="replace") as log:
            text = log.read()
        done = text.count("bench done") >= self.config.count("[[vm]]") - self.config.count(f'cmdline = "{IDLE}"')
        return done and "idle" in self.config or "no guest could be started" in text

    def read_plugin(self, path):
        with open(path, encoding="utf-8") as f:
            words = [line.split() for line in f]
        self.plugin = {"entry": [w for w in words if w[0] == "entry"], "series": [w for w in words if w[0] == "series"]}

    def values(self, guest="bench"):
        """Medians by name."""
        return {w[1]: float(w[2]) for who, w in self.lines if who == guest and w[0] == "bench" and len(w) > 2}

    def series(self, guest, name):
        return [int(n) for who, w in self.lines if who == guest and w[:2] == ["bench-list", name] for n in w[2:]]


# ---- the figures -----------------------------------------------------------------------------------------------------

def median(values):
    values = sorted(values)
    return values[len(values) // 2] if values else None


def switch_cost(s, hz=62_500_000):
    """From the sleeper's WFI to the other guest's next look at the counter, both on the machine's one clock."""
    asleep, back = s.series("yield", "sleep"), s.series("spin", "back")
    costs = []
    for t in asleep:
        after = [b for b in back if b >= t]
        if after and after[0] - t < 500:
            costs.append(after[0] - t)
    # A tick is many instructions, but their phases differ: the mean is finer than a tick.
    return sum(costs) / len(costs) * (1_000_000_000 / hz) if len(costs) >= 50 else None


def shared_core(n):
    """A sleeper and a computing guest on one core, beside n - 2 guests that sleep for ever."""
    text = vm("yield", "yield", more=sched(priority=9, pcpus="[0]")) + vm("spin", "spin", more=sched(priority=7, pcpus="[0]"))
    return text + "".join(vm(f"idle{i}", IDLE, more=sched(pcpus="[0]")) for i in range(n - 2))


def one_among(n):
    return vm("bench", "calls", more=sched(priority=9)) + "".join(vm(f"idle{i}", IDLE) for i in range(n - 1))


def measure(run):
    figures = {}
    disk = '[[vm.device]]\nmodel = "virtio-blk"\nbackend = "ram:"\nsize = "1M"\n'
    main = run(Scenario("exits", vm("bench", "exits interrupts virtio", "64M", device=disk)))
    figures.update(main.values())
    console = run(Scenario("console", vm("bench", "virtio", device='[[vm.device]]\nmodel = "virtio-console"\n')))
    figures.update({k: v for k, v in console.values().items() if k == "virtio_console_byte"})
    small, large = (run(Scenario(f"boot{n}", vm("bench", "boot", f"{n}M"))) for n in (16, 32))
    figures["entry_16m"] = small.values().get("entry_instructions")
    if figures["entry_16m"] and large.values():
        figures["entry_per_mib"] = (large.values()["entry_instructions"] - figures["entry_16m"]) / 16
    if small.plugin.get("entry"):
        figures["ram_written"] = int(small.plugin["entry"][0][2]) * 4
    figures["image_size"] = image_size(f"{small.out}/lodge.elf")
    pair = run(Scenario("pair", vm("bench", "pair", more="cpus = 2\n" + sched(pcpus="[0, 1]")), smp=2))
    figures["cross_sgi"] = pair.values().get("pair_sgi")
    figures["vcpu_switch"] = switch_cost(run(Scenario("share", shared_core(2))))
    for n in (8, 64):
        many = run(Scenario(f"calls{n}", one_among(n), mem="2G"))
        figures[f"hvc_{n}_guests"] = many.values().get("hvc_psci_version")
        figures[f"switch_{n}_guests"] = switch_cost(run(Scenario(f"share{n}", shared_core(n), mem="2G")))
    return figures, main


def image_size(elf):
    out = subprocess.run([os.environ.get("CROSS_COMPILE", "aarch64-linux-gnu-") + "size", "-A", elf],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    sizes = {w[0]: int(w[1]) for w in map(str.split, out.splitlines()) if len(w) == 3 and w[1].isdigit()}
    return sum(sizes.get(s, 0) for s in (".text", ".rodata", ".lodge_symbols"))


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


def cross_check(main):
    """Compares each synchronous row with the plugin's count of the hypervisor's instructions in a batch of 64."""
    names = [w[1] for who, w in main.lines if who == "bench" and w[0] == "bench" and len(w) > 3]
    bad = []
    for name, words in zip(names, main.plugin.get("series", [])):
        counted, seen = int(words[3]) / 64, main.values()[name]
        if name in ("first_touch_2m", "nothing") or counted == 0 or not name.startswith(("hvc", "smc", "gicd", "pl011", "id_")):
            continue
        if abs(seen - counted) > 7:
            bad.append(f"{name}: guest {seen:.0f}, plugin {counted:.0f}")
    return bad


# ---- the table -------------------------------------------------------------------------------------------------------

def show(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.1f}"


def print_table(figures, budgets):
    over = []
    print(f"{'operation':<48} {'measured':>12} {'budget':>12}  best peer")
    for name, row in budgets.items():
        value = figures.get(name)
        missed = value is None or value > row["budget"] * TOLERANCE + 0.5
        if missed:
            over.append(row["text"] + (": not measured" if value is None else ""))
        print(f"{row['text']:<48} {show(value):>12} {show(row['budget']):>12}  {row.get('peer', '-')}{'  <-- over' if missed else ''}")
    return over


def compiler_version():
    cc = os.environ.get("CROSS_COMPILE", "aarch64-linux-gnu-") + "gcc"
    return subprocess.run([cc, "-dumpfullversion"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-plugin", action="store_true")
    parser.add_argument("--limit", type=int, default=60, help="seconds for one machine")
    options = parser.parse_args()
    os.chdir(TOP)
    with open("tests/bench-budgets.toml", "rb") as f:
        budgets = tomllib.load(f).get(ARCH)
    if not budgets:
        sys.exit(f"bench: no budgets for {ARCH} yet")
    plugin = None if options.no_plugin else build_plugin()
    figures, first = measure(lambda s: s.run(plugin if s.name in ("exits", "boot16") else None, options.limit))
    over = print_table(figures, budgets)
    for line in cross_check(first):
        print(f"bench: guest and plugin disagree: {line}")
    if compiler_version() != COMPILER:
        print(f"bench: the budgets are for gcc {COMPILER}, this is {compiler_version()}: not judged")
        return
    if over:
        sys.exit(f"bench: {len(over)} over budget: " + "; ".join(over))


if __name__ == "__main__":
    main()
