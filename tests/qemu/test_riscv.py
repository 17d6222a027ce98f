# SPDX-License-Identifier: Apache-2.0
"""What only riscv64 has: timers without Sstc, hostile SBI calls and CSR accesses."""
import pytest
from lodge import FACTS, Image, Machine, assemble, vm
from scenarios import BANNER, HEARTBEAT, host, linux
from test_firmware import u_boot
from test_images import elf


def test_hostile_calls():
    """Every case passes, the neighbour beats on (on the same CPU)."""
    with Machine(Image(HEARTBEAT + vm("red", "redteam", "32M")), smp=1) as m:
        m.expect(r"redteam: (\d+) of \1 passed")
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
        m.expect_all([r"\[heartbeat\] heartbeat 3", r"\[other\] heartbeat 3"])


@pytest.mark.parametrize("image", ["qemu-riscv64/u-boot.bin", "qemu-riscv64/uboot.elf"])
def test_built_for_m_mode(image):
    """Known at load, and said so, instead of a silent guest."""
    with Machine(Image(HEARTBEAT + vm("uboot", u_boot(image), "128M")), smp=1) as m:
        m.expect(r"\[uboot\] refused: .*is built for M-mode")
        m.heartbeat_goes_on("heartbeat")
        m.never(r"\[uboot\] starts", 1)


@pytest.mark.parametrize("files", [0, 2])
def test_linux_on_aia(files):
    """APLIC and IMSIC for the guest, with and without interrupt files of the host for it."""
    toml = host(console="merged") + linux(more='cpus = 2\nirqchip = "aia"\n') + HEARTBEAT
    with Machine(Image(toml), qemu=10, aia="aplic-imsic", aia_guests=files) as m:
        m.linux_up()
        m.shell("grep -c IMSIC /proc/interrupts; nproc", r"\b2\b")
        m.shell("grep ttyS0 /proc/interrupts", r"APLIC")
        m.heartbeat_goes_on("heartbeat")
        m.key("s")
        m.enter("exits linux")
        rows = m.expect(r"reason\s+count([\s\S]*?)cpu-on").group(1)
        assert ("sysreg" in rows) == (files == 0), rows  # registers of the machine's file do not trap


def test_aia_needs_the_hosts():
    """Its CSRs cannot be emulated where they do not trap: refused with the reason, the other runs."""
    toml = host(console="merged") + vm("imsic", "heartbeat", more='irqchip = "aia"') + HEARTBEAT
    with Machine(Image(toml), smp=1) as m:
        m.expect(r"\[imsic\] refused: .*(?:AIA|Ssaia|aia)")
        m.heartbeat_goes_on("heartbeat")


@pytest.mark.parametrize("qemu,cpu", [(None, "rv64"), (None, "rv64,sstc=off"), (10, "rv64"), (10, "max"), (10, "rv64,sv48=off"),
                                      (10, "rv64,zicbom=off,zicboz=off,svpbmt=off,sstc=off")])
def test_linux_on_cpu(qemu, cpu):
    """What the CPU has decides what the guest is told."""
    with Machine(Image(linux(more="cpus = 2") + HEARTBEAT), qemu=qemu, cpu=cpu) as m:
        m.linux_up()
        m.shell("date +year%Y", r"year\d{4}")  # a user program reads the counter itself
        m.shell("grep -m1 isa /proc/cpuinfo", r"rv64imafdcv_" if cpu == "max" else r"rv64imafdc_")
        m.heartbeat_goes_on("heartbeat")


@pytest.mark.parametrize("qemu,cpu,smp", [(None, "rv64,v=true,vlen=256", 1), (10, "max", 2)])
def test_vector_registers_are_a_guests_own(qemu, cpu, smp):
    """Three guests that never sleep keep values in all of them, on one core and moving between two."""
    with Machine(Image("".join(vm(n, "vectors") for n in "abc") + HEARTBEAT), qemu=qemu, cpu=cpu, smp=smp) as m:
        told = [m.expect(r"\[(\w)\] vectors: (kept|lost)").groups() for _ in range(9)]
        assert {who for who, _ in told} == set("abc") and all(what == "kept" for _, what in told), told
        m.heartbeat_goes_on("heartbeat")


# What small kernels for QEMU's `virt` do: fixed addresses, no device tree. The UART's interrupt comes through the PLIC to
# hart 0's S-mode context; the clock, the timer, and the test device, which ends it.
SMALL_KERNEL = """
    .macro say text
    jal a0, 9f
    .asciz "small: \\text\\n"
    .balign 4
9:  jal puts
    .endm

    say hello
    li s0, 0x0C000000
    li s1, 0x0C201000
    li s2, 0x10000000
    li t0, 1
    sw t0, 40(s0)
    li t1, 0x0C002080
    li t0, 1 << 10
    sw t0, (t1)
    sw zero, (s1)
    li t0, 2
    sb t0, 1(s2)
    li t0, 1 << 9
    csrw sie, t0
1:  wfi
    lw s3, 4(s1)
    beqz s3, 1b
    lbu t0, 2(s2)
    sb zero, 1(s2)
    sw s3, 4(s1)
    li t0, 10
    bne s3, t0, wrong
    say "source 10"
    rdtime a0
    li t0, 100000
    add a0, a0, t0
    li a7, 0x54494D45
    li a6, 0
    ecall
    li t0, 1 << 5
    csrw sie, t0
    wfi
    li t0, 0x101000
    lw t1, (t0)
    beqz t1, wrong
    say "timer and clock"
    li t0, 0x100000
    li t1, 0x5555
    sw t1, (t0)
1:  j 1b
wrong:
    say wrong
    j 1b

puts:
    li t0, 0x10000000
1:  lbu t1, (a0)
    beqz t1, 3f
2:  lbu t2, 5(t0)
    andi t2, t2, 0x20
    beqz t2, 2b
    sb t1, (t0)
    addi a0, a0, 1
    j 1b
3:  ret
"""


def test_small_kernels(tmp_path):
    """A raw image, and an ELF linked to where RAM begins: both run on QEMU's addresses alone."""
    raw = assemble(SMALL_KERNEL)
    files = {"raw": raw, "elf": elf(address=FACTS["ram_base"], code=raw)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    toml = host(console="merged") + "".join(vm(n, str(tmp_path / n)) for n in files) + HEARTBEAT
    with Machine(Image(toml), smp=1) as m:
        m.expect_all([rf"\[{n}\] {what}" for n in files
                      for what in ("small: source 10", "small: timer and clock", "is off")])
        m.heartbeat_goes_on("heartbeat")
