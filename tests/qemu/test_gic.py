# SPDX-License-Identifier: Apache-2.0
"""Every host's GIC with every guest's, and the way in that only aarch64 has: EL3."""
import pytest
from lodge import Image, Machine, vm
from scenarios import BANNER, HEARTBEAT, host, linux
from test_boot import OWN, enter
from test_lifecycle import rows, to_shell

V2 = 'gic = "v2"'
V3 = 'gic = "v3"'
TWO = "cpus = 2\n"
MIXED = (vm("old", "heartbeat", more=V2) + vm("new", "heartbeat", more=V3) + vm("older", "heartbeat", more=V2)
         + vm("newer", "heartbeat", more=V3))


def load(m, seconds=5):
    """Interrupts of all kinds: timers, IPIs between the two vCPUs, the console."""
    m.shell("for i in 1 2 3 4 5 6 7 8; do (n=0; while [ $n -lt 40 ]; do /bin/true; n=$((n+1)); done) & done; wait; "
            "echo lo''aded", r"loaded")
    m.shell(f"s=$(cut -d. -f1 /proc/uptime); sleep {seconds}; e=$(cut -d. -f1 /proc/uptime); "
            f"[ $((e - s)) -ge {seconds} ] && echo sl''ept", r"slept")


@pytest.mark.parametrize("smp", [1, 2])
@pytest.mark.parametrize("gic", [2, 3])
def test_linux_on_gicv2(gic, smp):
    """GICV on a GICv2 host, the emulated CPU interface on a GICv3 host; two vCPUs on one core and on two."""
    with Machine(Image(host(console="merged") + linux(more=TWO + V2) + HEARTBEAT), gic=gic, smp=smp) as m:
        m.expect(rf"interrupt controller: GICv{gic}")
        m.expect(r"Brought up 1 node, 2 CPUs")
        m.linux_up()
        m.shell("grep -c GIC-0 /proc/interrupts", r"[1-9]")
        load(m)
        m.shell("dmesg | grep -ci 'stall\\|lockup\\|unexpected irq' | sed 's/^/bad''lines /'", r"badlines 0")
        m.heartbeat_goes_on("heartbeat")


def test_auto_follows_the_host():
    with Machine(Image(host(console="merged") + linux(more=TWO)), gic=2, smp=2) as m:
        m.linux_up()
        m.shell("grep -c GIC-0 /proc/interrupts", r"[1-9]")
    with Machine(Image(host(console="merged") + linux(more=TWO)), gic=3, smp=2) as m:
        m.linux_up()
        m.shell("grep -c GICv3 /proc/interrupts", r"[1-9]")


@pytest.mark.parametrize("smp", [1, 2])
def test_both_on_one_core(smp):
    with Machine(Image(host(console="merged") + MIXED), gic=3, smp=smp) as m:
        for name in ("old", "new", "older", "newer"):
            m.heartbeat_goes_on(name, beats=5)


def test_v3_needs_a_v3_host():
    """Refused with the reason; the others run."""
    with Machine(Image(host(console="merged") + MIXED), gic=2) as m:
        m.expect(r"\[new\] refused: .*gic = .v3. asks for a GICv3")
        m.heartbeat_goes_on("old")
        m.heartbeat_goes_on("older")
        m.never(r"\[newer?\] heartbeat", 3)


def test_nine_cpus_need_a_v3_host():
    with Machine(Image(host(console="merged") + vm("many", "heartbeat", more="cpus = 9") + HEARTBEAT), gic=2) as m:
        m.expect(r"\[many\] refused: more than 8 CPUs need a GICv3")
        m.heartbeat_goes_on("heartbeat")


@pytest.mark.parametrize("case", ["gic", "gic-pending", "gic-unended"])
@pytest.mark.parametrize("gic", [2, 3])
@pytest.mark.parametrize("version", ["v2", "auto"])
def test_hostile_use(gic, version, case):
    """Redteam's cases of the interrupt controller, on each kind; the neighbours' timers go on."""
    attacker = vm("bad", "redteam", more=f'gic = "{version}"\non_crash = "stop"', boot=f'cmdline = "case={case}"')
    neighbours = vm("old", "heartbeat", more=V2) + vm("auto", "heartbeat")
    with Machine(Image(host(console="merged") + attacker + neighbours), gic=gic, smp=1) as m:
        m.expect(rf"redteam {case}: PASS")
        m.heartbeat_goes_on("old")
        m.heartbeat_goes_on("auto")
        m.never(r"(?i)panic", 2)


@pytest.mark.parametrize("gic, version, smp", [(3, "v3", 1), (3, "v3", 2), (3, "v2", 2), (2, "v2", 2)])
def test_two_cpus_at_the_controller(gic, version, smp):
    """Binary point, split ends, more active interrupts than list registers; two vCPUs see and end each other's interrupts."""
    guest = vm("two", "redteam", more=TWO + f'gic = "{version}"\non_crash = "stop"', boot='cmdline = "case=gic-cpus"')
    with Machine(Image(host(console="merged") + guest + HEARTBEAT), gic=gic, smp=smp) as m:
        m.expect(r"\[two\] +two CPUs")
        m.expect(r"redteam gic-cpus: PASS")
        m.heartbeat_goes_on("heartbeat")


def test_entered_at_el3(work):
    """No firmware at all: EL3, the device tree where QEMU leaves it, at the start of RAM."""
    with enter(Image("configs/heartbeats.toml"), work, OWN, machine="secure=on") as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


def ticks(m):
    return int(m.expect(r"metronome \d+: (\d+) ticks").group(1))


@pytest.mark.parametrize("gic, version, accesses", [(3, "v3", 0), (2, "v2", 0), (3, "v2", 2)])
def test_a_tick_costs_one_exit(gic, version, accesses):
    """The timer's interrupt comes through a hardware-linked list register: one exit brings it, its end takes none. The
    emulated interface has its two accesses, IAR and EOIR."""
    guest = vm("tick", "metronome", more=f'gic = "{version}"', boot="[vm.sched]\npcpus = [1]")
    with Machine(Image(host(console="merged") + guest), gic=gic, smp=2, extra="-icount shift=3,sleep=off") as m:
        before = ticks(m)
        to_shell(m)
        first = {r["reason"]: r["count"] for r in rows(m, "exits tick")}
        low = ticks(m)
        for _ in range(10):
            high = ticks(m)
        last = {r["reason"]: r["count"] for r in rows(m, "exits tick")}
        after = ticks(m)
    irq, mmio = (last[k] - first[k] for k in ("irq", "mmio"))
    assert high - low <= irq <= (after - before) * 1.1
    assert irq * accesses <= mmio <= irq * (accesses + 0.5), "beside them only what it prints"
