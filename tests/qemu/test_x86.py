# SPDX-License-Identifier: Apache-2.0
"""What only x86_64 has: devices behind instructions that the hypervisor carries out itself."""
import os
import subprocess

import pytest
from lodge import TOP, Image, Machine, cross, vm
from scenarios import HEARTBEAT
from test_containment import redteam
from test_lifecycle import rows, to_shell


def linked(name, tmp_path, bits=64, defines=(), raw=True):
    """A guest from assembler text that knows its address; `raw`: without its ELF headers."""
    obj, elf, binary = (str(tmp_path / (f"guest{bits}" + end)) for end in (".o", ".elf", ".bin"))
    subprocess.run([cross("gcc"), "-c", f"-m{bits}", *defines, "-o", obj, os.path.join(TOP, "tests/qemu", name)], check=True)
    subprocess.run([cross("ld"), "-m", "elf_i386" if bits == 32 else "elf_x86_64", "-N", "-Ttext", "0x100000", "-e", "0x100000",
                    "-o", elf, obj], check=True)
    subprocess.run([cross("objcopy"), "-O", "binary", "-j", ".text", elf, binary], check=True)
    with open(binary if raw else elf, "rb") as f:
        return f.read()


def test_devices_and_registers(tmp_path):
    """Local and I/O APIC, string port output, what nobody answers, page faults at the other end of a string move, by any instruction;
    control and debug registers, CR8, NMIs."""
    files = {"m32.bin": linked("x86_mmio32.S", tmp_path), "m64.bin": linked("x86_mmio64.S", tmp_path), "move.bin": linked("x86_moves.S", tmp_path), "regs.bin": linked("x86_registers.S", tmp_path, defines=["-DTCG"])}
    image = Image("[host]\nlog = \"info\"\n" + "".join(vm(name[:-4], "@OUT@/" + name) for name in files), files)
    with Machine(image) as m:
        m.expect_all([r"\[m32\] MMIO is OK", r"\[m64\] MMIO is OK", r"\[move\] MOVE is OK", r"\[regs\] REGS is OK"])


def test_multiboot(tmp_path):
    """Kernels whose header has their addresses, and ELF32 files: magic number, memory, command line."""
    header = linked("x86_multiboot.S", tmp_path, 32, ["-DHEADER_FLAGS=0x10003"])
    elf32 = linked("x86_multiboot.S", tmp_path, 32, ["-DHEADER_FLAGS=3"], raw=False)
    toml = (vm("header", "@OUT@/header.bin", boot='cmdline = "by addresses"')
            + vm("file", "@OUT@/file.elf", boot='cmdline = "by segments"'))
    with Machine(Image(toml, {"header.bin": header, "file.elf": elf32})) as m:
        m.expect_all([r"\[header\] by addresses", r"\[file\] by segments"])


@pytest.mark.parametrize("machine", ["pit=off", "pit=off,hpet=off"], ids=["hpet", "pm-timer"])
def test_clock_without_8254(machine):
    """The rate comes from what ACPI names: nothing is assumed."""
    with Machine(Image(HEARTBEAT), machine=machine) as m:
        clock = m.expect(r"(assumed|clock \d+ kHz)").group(1)
        assert clock != "assumed" and clock != "clock 1000000 kHz", clock
        m.heartbeat_goes_on("heartbeat", beats=2)


def test_refused_accesses_are_counted():
    """Ports that nobody has, MSRs that a guest has not: all ones, #GP, and a number for the operator."""
    with Machine(Image(redteam("ports", "ports") + redteam("msr-read", "msr-read"))) as m:
        m.expect_all([r"redteam ports: PASS", r"redteam msr-read: PASS"])
        to_shell(m)
        counts = {name: {r["reason"]: r["count"] for r in rows(m, f"exits {name}")} for name in ("ports", "msr-read")}
        assert counts["ports"]["no-port"] > 60000 and counts["msr-read"]["no-register"] > 1000, counts
        assert counts["ports"]["pio"] > counts["ports"]["no-port"], counts


def test_debug_registers_are_a_guests_own():
    """Two guests on one core, each with addresses of its own in DR0 to DR3."""
    with Machine(Image(redteam("red", "debug") + redteam("blue", "debug")), smp=1) as m:
        m.expect_all([rf"\[{name}\] redteam debug: PASS" for name in ("red", "blue")])


def test_local_apic(tmp_path):
    """As a page and as MSRs: priorities, interrupts to itself, a level-triggered one, the timer."""
    with Machine(Image(vm("apic", "@OUT@/guest.bin"), {"guest.bin": linked("x86_apic.S", tmp_path)})) as m:
        m.expect(r"\[apic\] APIC is OK")
