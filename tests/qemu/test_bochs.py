# SPDX-License-Identifier: Apache-2.0
"""Intel VMX, which only Bochs emulates: what the scenarios show of SVM under QEMU, in as few boots as possible."""
from lodge import FACTS, Bochs, Image, assemble, vm
from scenarios import host, linux
from test_containment import redteam
from test_lifecycle import rows, to_shell
from test_sched import crowd
from test_selftest import suite_passes
from test_x86 import linked

LIMIT = 900        # seconds; Bochs needs 10 for the boot loader and 70 for Linux when it has a processor of its own
RUN = 600
RAW = f"load = {FACTS['load_raw']:#x}"


def exits(m, name):
    """How often a guest has left, by reason."""
    return {r["reason"]: r["count"] for r in rows(m, f"exits {name}")}


def test_small_guests(tmp_path):
    """Several vCPUs by INIT and SIPI, devices by any instruction in 32-bit and 64-bit code, control registers and debug
    exceptions, a guest that dies again and again, one that tries all ports, one whose local APIC the processor works on;
    beside them heartbeats."""
    files = {"lost.bin": assemble(FACTS["lost"]), "ports.bin": assemble(FACTS["attackers"]["unknown-ports"]),
             "m32.bin": linked("x86_mmio32.S", tmp_path), "m64.bin": linked("x86_mmio64.S", tmp_path), "regs.bin": linked("x86_registers.S", tmp_path),
             "apic.bin": linked("x86_apic.S", tmp_path)}
    toml = (host(log="info") + crowd("crowd", "race", cpus=4) + vm("m32", "@OUT@/m32.bin") + vm("m64", "@OUT@/m64.bin")
            + vm("regs", "@OUT@/regs.bin") + vm("apic", "@OUT@/apic.bin")
            + vm("lost", "@OUT@/lost.bin", more='on_crash = "restart"', boot=RAW) + vm("ports", "@OUT@/ports.bin", boot=RAW)
            + vm("tick", "metronome") + vm("victim", "heartbeat"))
    with Bochs(Image(toml, files), limit=LIMIT) as m:
        m.expect(r"VMX: EPT.*, APIC registers, virtual-interrupt delivery", timeout=RUN)
        m.expect_all([r"\[crowd\] crowd race: \d+ rounds, .*: PASS", r"\[m32\] MMIO is OK", r"\[m64\] MMIO is OK", r"\[regs\] REGS is OK", r"\[apic\] APIC is OK",
                      r"guest 'lost' stopped: triple fault", r"\[lost\] starts again \(2\)", r"metronome \d+: \d+ ticks"],
                     timeout=RUN)
        m.heartbeat_goes_on("victim", beats=5, timeout=RUN)
        to_shell(m)
        counts = exits(m, "apic")  # 600 interrupts, 14,000 accesses; 300 it sends itself go by the hypervisor on this machine
        assert counts["sysreg"] < 400 and counts["mmio"] < 20, counts


def test_posted_interrupts(tmp_path):
    """On two CPUs: who computes is interrupted where it is, who sleeps wakes."""
    pair = vm("posts", "@OUT@/posts.bin", more="cpus = 2", boot="[vm.sched]\npcpus = [0, 1]")
    image = Image(host(log="info") + pair + vm("victim", "heartbeat"), {"posts.bin": linked("x86_posts.S", tmp_path)})
    with Bochs(image, newer=True, cpu="corei7_skylake_x", smp=2, append="posted=on", limit=LIMIT) as m:
        m.expect(r"VMX: .*, virtual-interrupt delivery, posted interrupts\s", timeout=RUN)
        m.expect(r"\[posts\] POSTS is OK", timeout=RUN)
        m.heartbeat_goes_on("victim", timeout=RUN)
        to_shell(m)
        counts = exits(m, "posts")  # 10,500 are sent, 9,000 of them to one that computes
        assert counts["irq"] < 4000 and counts["idle"] > 700, counts


def test_attackers():
    """What redteam tries under SVM, but for a flood of text. The CPU is a fast one: interrupts each 100 us leave it time."""
    cases = ("forbidden", "control", "msr-read", "msr-write", "string-io", "ports", "mmio", "apic", "icr", "timers", "level-storm",
             "debug", "user", "flood", "apic-timer")
    with Bochs(Image(host(log="info") + "".join(redteam(case, case) for case in cases) + vm("victim", "heartbeat")), limit=LIMIT, ips=400000000) as m:
        m.expect_all([rf"\[{case}\] redteam {case}: PASS" for case in cases], timeout=RUN)
        m.heartbeat_goes_on("victim", timeout=RUN)


def test_linux():
    """Debian's kernel to its shell, with interrupts, timers and page faults through all of it."""
    with Bochs(Image(host(console="focus") + linux(cmdline="quiet")), limit=LIMIT) as m:
        m.linux_up(timeout=RUN)
        m.shell("grep -c vmx /proc/cpuinfo || uname -m", r"x86_64", timeout=RUN)
        timer = int(m.shell("cat /proc/interrupts", r"LOC:\s+([1-9]\d*)\s", timeout=RUN).group(1))
        to_shell(m)
        counts = exits(m, "linux")  # each interrupt of the timer sets it again, but its end makes no exit
        assert counts["sysreg"] < 1.6 * timer + 1000, (counts, timer)


def test_older_cpu(tmp_path):
    """Without 1 GiB pages and x2APIC; of the local APIC it has the task priority alone. A guest that spins with interrupts masked
    holds nobody up."""
    toml = (host() + vm("alpha", "heartbeat") + vm("beta", "heartbeat") + vm("apic", "@OUT@/apic.bin"))
    image = Image(toml, {"apic.bin": linked("x86_apic.S", tmp_path)})
    with Bochs(image, cpu="corei7_sandy_bridge_2600k", limit=LIMIT) as m:
        m.expect(r"VMX: EPT, unrestricted guests, VPID, TPR shadow\s", timeout=RUN)
        m.expect_all([r"\[alpha\] heartbeat 2", r"\[beta\] heartbeat 2", r"\[apic\] APIC is OK"], timeout=RUN)
        m.enter("spin")
        m.expect(r"\[alpha\] spin:", timeout=RUN)
        m.heartbeat_goes_on("beta", timeout=RUN)
        to_shell(m)
        counts = exits(m, "apic")  # 10,000 of CR8 do not exit, the others do
        assert 1000 < counts["sysreg"] < 5000 and counts["mmio"] > 1000, counts


def test_cpu_that_lacks_too_much():
    with Bochs(Image("configs/heartbeats.toml"), cpu="corei5_lynnfield_750", limit=LIMIT) as m:
        m.expect(r"cannot run guests: VMX without EPT, unrestricted guests", timeout=RUN)


def test_contract_suite():
    """Inside the image; then ACPI turns the machine off."""
    with Bochs(Image("configs/heartbeats.toml", selftest=True), limit=LIMIT) as m:
        assert suite_passes(m).group(0).endswith(" 0 failed")
        assert m.ended() == 1  # Bochs's way to end when its machine is turned off
