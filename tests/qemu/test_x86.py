# SPDX-License-Identifier: Apache-2.0
"""What only x86_64 has: devices behind instructions that the hypervisor carries out itself."""
import os
import subprocess

import pytest
from lodge import TOP, Image, Machine, cross, vm
from test_containment import redteam


def linked(name, tmp_path):
    """A raw guest from assembler text that knows its address."""
    obj, elf, binary = (str(tmp_path / ("guest" + end)) for end in (".o", ".elf", ".bin"))
    subprocess.run([cross("gcc"), "-c", "-m64", "-o", obj, os.path.join(TOP, "tests/qemu", name)], check=True)
    subprocess.run([cross("ld"), "-Ttext", "0x100000", "-e", "0x100000", "-o", elf, obj], check=True)
    subprocess.run([cross("objcopy"), "-O", "binary", "-j", ".text", elf, binary], check=True)
    with open(binary, "rb") as f:
        return f.read()


@pytest.mark.parametrize("name", ["x86_mmio32.S", "x86_mmio64.S"])
def test_devices_by_any_instruction(tmp_path, name):
    """Local and I/O APIC, string port output, what nobody answers; page faults at the other end of a string move."""
    image = Image("[host]\nlog = \"info\"\n" + vm("probe", "@OUT@/guest.bin"), {"guest.bin": linked(name, tmp_path)})
    with Machine(image) as m:
        m.expect(r"\[probe\] MMIO is OK")


def test_debug_registers_are_a_guests_own():
    """Two guests on one core, each with addresses of its own in DR0 to DR3."""
    with Machine(Image(redteam("red", "debug") + redteam("blue", "debug")), smp=1) as m:
        m.expect_all([rf"\[{name}\] redteam debug: PASS" for name in ("red", "blue")])
