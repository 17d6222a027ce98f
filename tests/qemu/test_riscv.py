# SPDX-License-Identifier: Apache-2.0
"""What only riscv64 has: timers without Sstc, hostile SBI calls and CSR accesses."""
import pytest
from lodge import FACTS, Image, Machine, assemble, vm
from scenarios import BANNER, HEARTBEAT
from test_firmware import u_boot


def test_hostile_calls():
    """Every case passes, the neighbour beats on (on the same CPU)."""
    with Machine(Image(HEARTBEAT + vm("red", "rvteam")), smp=1) as m:
        m.expect(r"rvteam: (\d+) of \1 passed")
        m.expect(r"heartbeat [2-9]")


def test_two_harts_at_the_image(tmp_path):
    """A boot loader hands over both harts at once: one boots, the other waits to be started."""
    load = FACTS["load"]
    code = (f"li t3, {load:#x}\nmv s0, a0\nmv s1, a1\nli a7, 0x48534D\nli a6, 0\nxori a0, a0, 1\nmv a1, t3\nli a2, 0\n"
            "ecall\nmv a0, s0\nmv a1, s1\njr t3")
    stub = tmp_path / "stub.bin"
    stub.write_bytes(assemble(code))
    image = Image("configs/heartbeats.toml")
    with Machine(kernel=str(stub), extra=f"-device loader,file={image.path},addr={load:#x},force-raw=on") as m:
        m.expect(r"CPUs: 2 of 2")
        m.expect(r"heartbeat 3")
        m.never(BANNER, 1)


def test_emulated_timer():
    with Machine(Image(HEARTBEAT + vm("other", "heartbeat")), smp=1, cpu="rv64,sstc=off") as m:
        m.expect(r"guest timer emulated")
        m.expect(r"\[heartbeat\] heartbeat 3")
        m.expect(r"\[other\] heartbeat 3")


@pytest.mark.parametrize("image", ["qemu-riscv64/u-boot.bin", "qemu-riscv64/uboot.elf"])
def test_built_for_m_mode(image):
    """Known at load, and said so, instead of a silent guest."""
    with Machine(Image(HEARTBEAT + vm("uboot", u_boot(image), "128M")), smp=1) as m:
        m.expect(r"\[uboot\] refused: .*is built for M-mode")
        m.heartbeat_goes_on("heartbeat")
        m.never(r"\[uboot\] starts", 1)
