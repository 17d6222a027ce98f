# SPDX-License-Identifier: Apache-2.0
"""How the machine's other CPUs are started: by PSCI with affinity fields alone, and out of a boot loader's spin loop."""
import os
import shutil
import subprocess

import pytest
from lodge import BUILD, FACTS, LIMIT, TOP, Image, Machine
from test_boot import HEARTBEATS

STUB = FACTS["ram_base"] + 0x10_0000
RELEASE = STUB + 0x1000  # the words that the CPUs watch
KERNEL = FACTS["ram_base"] + 0x20_0000
FDT = FACTS["ram_base"] + 0x400_0000


def tree(path, smp):
    subprocess.run([f"{TOP}/scripts/qemu", "run", BUILD], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                   timeout=LIMIT, cwd=TOP, env={"PATH": "/usr/bin:/bin", "KERNEL": "none", "DISK": "none",
                                                "SMP": str(smp), "MACHINE": f"dumpdtb={path}"})


def fdtput(*args):
    subprocess.run(["fdtput", *args], check=True, timeout=LIMIT)


def spin_tree(path, smp, shared, first=RELEASE):
    """The machine's tree as a board without PSCI has it: CPUs by spin-table, the loop and its words reserved."""
    tree(path, smp)
    fdtput("-r", path, "/psci")
    for cpu in range(smp):
        node = f"/cpus/cpu@{cpu}"
        word = first + (0 if shared else 8 * cpu)
        fdtput("-t", "s", path, node, "enable-method", "spin-table")
        fdtput("-t", "x", path, node, "cpu-release-addr", f"{word >> 32:x}", f"{word & 0xFFFFFFFF:x}")
    fdtput("-c", path, "/reserved-memory")
    for key, value in (("#address-cells", ["2"]), ("#size-cells", ["2"])):
        fdtput("-t", "u", path, "/reserved-memory", key, *value)
    fdtput("-t", "s", path, "/reserved-memory", "ranges")
    fdtput("-c", path, f"/reserved-memory/spin@{STUB:x}")
    fdtput("-t", "x", path, f"/reserved-memory/spin@{STUB:x}", "reg", "0", f"{STUB:x}", "0", "2000")


def loader(work, smp, shared):
    """The boot loader of spin_table.S as a raw file."""
    prefixes = [os.environ.get("CROSS_COMPILE") or "aarch64-none-elf-", "aarch64-linux-gnu-"]
    prefix = next(p for p in prefixes if shutil.which(p + "gcc"))
    symbols = {"RELEASE": RELEASE, "FDT": FDT, "KERNEL": KERNEL, "CPUS": smp, "SHARED": int(shared)}
    flags = [f"-Wa,--defsym,{name}={value:#x}" for name, value in symbols.items()]
    subprocess.run([prefix + "gcc", "-c", *flags, "-o", f"{work}/stub.o", f"{TOP}/tests/qemu/spin_table.S"], check=True)
    subprocess.run([prefix + "objcopy", "-O", "binary", "-j", ".text", f"{work}/stub.o", f"{work}/stub.bin"], check=True)
    return f"{work}/stub.bin"


def enter(work, smp, shared):
    image = Image(HEARTBEATS).path
    return Machine(kernel="none", smp=smp, extra=" ".join([
        f"-device loader,file={image},addr={KERNEL:#x},force-raw=on",
        f"-device loader,file={work}/spin.dtb,addr={FDT:#x},force-raw=on",
        f"-device loader,file={loader(work, smp, shared)},addr={STUB:#x},cpu-num=0,force-raw=on"]))


@pytest.mark.parametrize("smp,shared", [(2, False), (4, False), (4, True), (18, False)])
def test_spin_table(work, smp, shared):
    """Each CPU by its own word, or all by one: they come together then, and each waits for its turn."""
    Image(HEARTBEATS).build()
    spin_tree(f"{work}/spin.dtb", smp, shared)
    with enter(work, smp, shared) as m:
        m.expect(rf"CPUs: {smp} of {smp}")
        m.expect(r"heartbeat 3")


def test_spin_table_without_a_word(work):
    """A release address that cannot be one: those CPUs are left out, and the log says so."""
    Image(HEARTBEATS).build()
    spin_tree(f"{work}/spin.dtb", 3, False)
    fdtput("-t", "x", f"{work}/spin.dtb", "/cpus/cpu@1", "cpu-release-addr", "0", f"{RELEASE + 4:x}")
    fdtput("-t", "s", f"{work}/spin.dtb", "/cpus/cpu@2", "enable-method", "magic")
    with enter(work, 3, False) as m:
        m.expect(r"cpu 1 \(id 0x1\) does not start: \S+")
        m.expect(r"cpu 2 \(id 0x2\) does not start: not supported")
        m.expect(r"CPUs: 1 of 3")
        m.expect(r"heartbeat 3")


def test_affinity_fields():
    """More than one cluster: PSCI gets Aff1 too, and nothing of MPIDR's other bits."""
    with Machine(Image(HEARTBEATS), smp=18) as m:
        m.expect(r"CPUs: 18 of 18")
        m.expect(r"heartbeat 3")
