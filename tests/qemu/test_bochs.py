# SPDX-License-Identifier: Apache-2.0
"""Intel VMX, which only Bochs emulates: what the scenarios show of SVM under QEMU, in as few boots as possible. One CPU."""
from lodge import FACTS, Bochs, Image, assemble, vm
from scenarios import host, linux
from test_sched import crowd
from test_selftest import suite_passes
from test_x86 import linked

LIMIT = 900        # seconds; Bochs needs 10 for the boot loader and 70 for Linux when it has a processor of its own
RUN = 600
RAW = f"load = {FACTS['load_raw']:#x}"


def test_small_guests(tmp_path):
    """Several vCPUs by INIT and SIPI, devices by any instruction in 32-bit and 64-bit code, control registers and debug
    exceptions, a guest that dies again and again,
    one that tries all ports; beside them heartbeats."""
    files = {"lost.bin": assemble(FACTS["lost"]), "ports.bin": assemble(FACTS["attackers"]["unknown-ports"]),
             "m32.bin": linked("x86_mmio32.S", tmp_path), "m64.bin": linked("x86_mmio64.S", tmp_path), "regs.bin": linked("x86_registers.S", tmp_path)}
    toml = (host(log="info") + crowd("crowd", "race", cpus=4) + vm("m32", "@OUT@/m32.bin") + vm("m64", "@OUT@/m64.bin")
            + vm("regs", "@OUT@/regs.bin")
            + vm("lost", "@OUT@/lost.bin", more='on_crash = "restart"', boot=RAW) + vm("ports", "@OUT@/ports.bin", boot=RAW)
            + vm("tick", "metronome") + vm("victim", "heartbeat"))
    with Bochs(Image(toml, files), limit=LIMIT) as m:
        m.expect(r"VMX: EPT", timeout=RUN)
        m.expect_all([r"\[crowd\] crowd race: \d+ rounds, .*: PASS", r"\[m32\] MMIO is OK", r"\[m64\] MMIO is OK", r"\[regs\] REGS is OK",
                      r"guest 'lost' stopped: triple fault", r"\[lost\] starts again \(2\)", r"metronome \d+: \d+ ticks"],
                     timeout=RUN)
        m.heartbeat_goes_on("victim", beats=5, timeout=RUN)


def test_linux():
    """Debian's kernel to its shell, with interrupts, timers and page faults through all of it."""
    with Bochs(Image(host(console="focus") + linux(cmdline="quiet")), limit=LIMIT) as m:
        m.linux_up(timeout=RUN)
        m.shell("grep -c vmx /proc/cpuinfo || uname -m", r"x86_64", timeout=RUN)
        m.shell("cat /proc/interrupts", r"LOC:\s+[1-9]", timeout=RUN)


def test_older_cpu():
    """Without 1 GiB pages and x2APIC. A guest that spins with interrupts masked holds nobody up."""
    with Bochs(Image("configs/heartbeats.toml"), cpu="corei7_sandy_bridge_2600k", limit=LIMIT) as m:
        m.expect(r"VMX: EPT, unrestricted guests", timeout=RUN)
        m.expect_all([r"\[alpha\] heartbeat 2", r"\[beta\] heartbeat 2"], timeout=RUN)
        m.enter("spin")
        m.expect(r"\[alpha\] spin:", timeout=RUN)
        m.heartbeat_goes_on("beta", timeout=RUN)


def test_cpu_that_lacks_too_much():
    with Bochs(Image("configs/heartbeats.toml"), cpu="corei5_lynnfield_750", limit=LIMIT) as m:
        m.expect(r"cannot run guests: VMX without EPT, unrestricted guests", timeout=RUN)


def test_contract_suite():
    """Inside the image; then ACPI turns the machine off."""
    with Bochs(Image("configs/heartbeats.toml", selftest=True), limit=LIMIT) as m:
        assert suite_passes(m).group(0).endswith(" 0 failed")
        assert m.ended() == 1  # Bochs's way to end when its machine is turned off
