# SPDX-License-Identifier: Apache-2.0
"""Many vCPUs on few cores: who runs when, for how long, and what guests notice of it.

How much of a core a guest gets is counted by the guest itself in virtual time, on one CPU under -icount: this computer's
load does not matter there. On several CPUs only behaviour is looked at.
"""
import pytest
from lodge import FACTS, Image, Machine, vm
from scenarios import host, linux
from test_lifecycle import PROMPT, command, rows, state, to_shell

VIRTUAL = "-icount shift=1,sleep=off"
LATE_US = 900     # of a tick, its own printed line included
SLICE_US = 10_000


def sched(**keys):
    return "[vm.sched]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())


def crowd(name, part, cpus=1, **keys):
    return vm(name, "crowd", more=f"cpus = {cpus}\n" + (sched(**keys) if keys else ""), boot=f'cmdline = "{part}"')


def metronome(**keys):
    return vm("tick", "metronome", more=sched(**keys))


def spinner(**keys):
    return vm("spin", "heartbeat", more=sched(**keys), boot='cmdline = "run=spin"')


# ---- SMP guests ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("smp", [1, 4, 8])
def test_racing_starters(smp):
    """Three CPUs of a guest start a fourth at once: one success, the others hear that it is on or on its way."""
    toml = crowd("a", "race", cpus=4) + crowd("b", "race", cpus=4) + vm("victim", "heartbeat")
    with Machine(Image(toml), smp=smp) as m:
        m.expect(rf"CPUs: {smp} of {smp}")
        m.expect_all([r"\[a\] crowd race: \d+ rounds, .*: PASS", r"\[b\] crowd race: \d+ rounds, .*: PASS"])
        m.heartbeat_goes_on("victim", beats=1)


@pytest.mark.parametrize("smp", [1, 4])
def test_suspend(smp):
    """CPU_SUSPEND or hart_suspend ends with the timer; a CPU that nothing wakes sleeps on and counts as on."""
    with Machine(Image(crowd("a", "suspend", cpus=2) + spinner(priority=8)), smp=smp) as m:
        m.expect(r"\[a\] crowd suspend: \d+ ticks, 0 refused, CPU 1 is on: PASS")


def test_more_vcpus_than_cores():
    """Twelve vCPUs that never sleep on two cores: all get on."""
    with Machine(Image(crowd("a", "share", cpus=6) + crowd("b", "share", cpus=6)), smp=2) as m:
        for name in "ab":
            m.expect(rf"\[{name}\] crowd share (?!1:)\d+:((?: \d+){{6}})\.")
            counts = [int(n) for n in m.qemu.match.group(1).split()]
            assert all(counts), counts


def test_linux_with_more_vcpus_than_cores():
    """Linux takes CPUs off line and brings them back; time that others took is seen as stolen."""
    toml = host(console="focus") + linux(more="cpus = 4") + crowd("rival", "share", cpus=2)
    with Machine(Image(toml), smp=2) as m:
        m.linux_up()
        m.shell("nproc", r"\r\n4\r")
        for cpu in (3, 1):
            m.shell(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online; nproc", r"\r\n3\r")
            m.shell(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online; nproc", r"\r\n4\r")
        for command, expected in FACTS["stolen_time"]:
            m.shell(command, expected)


# ---- priorities ----------------------------------------------------------------------------------------------------

def ticks(m, seconds):
    """(latest in us, missed) of the metronome's last `seconds`, without the first."""
    m.expect(r"metronome 1: ")
    found = [m.expect(r"metronome \d+: \d+ ticks, latest (\d+) us, missed (\d+)").groups() for _ in range(seconds)]
    return max(int(late) for late, _ in found), int(found[-1][1])


def test_spinner_does_not_delay_a_better_guest():
    with Machine(Image(spinner(priority=8) + metronome(priority=16)), smp=1, extra=VIRTUAL) as m:
        late, missed = ticks(m, 4)
        assert late < LATE_US and missed == 0, (late, missed)


def test_spinner_does_not_starve_an_equal_guest():
    """It waits for one slice at most, whenever it wants to run."""
    with Machine(Image(spinner(priority=8) + metronome(priority=8)), smp=1, extra=VIRTUAL) as m:
        late, _ = ticks(m, 4)
        assert late < SLICE_US + LATE_US, late


def test_equal_guests_of_a_crowd():
    """Nor do many: each waits for a slice of each other one at most."""
    toml = "".join(crowd(f"c{i}", "share", priority=8) for i in range(3)) + metronome(priority=8)
    with Machine(Image(toml), smp=1, extra=VIRTUAL) as m:
        late, _ = ticks(m, 3)
        assert late < 3 * (SLICE_US + LATE_US), late


# ---- shares --------------------------------------------------------------------------------------------------------

def shares(m, names, seconds=4):
    """How many loops each did in the same seconds; the first is not counted."""
    loops = {name: {} for name in names}
    while any(len(done) < seconds for done in loops.values()):
        name, second, count = m.expect(r"\[(\w+)\] crowd share (\d+): (\d+)\.").groups()
        if name in loops and 1 < int(second) <= seconds + 1:
            loops[name][int(second)] = int(count)
    return {name: sum(done.values()) for name, done in loops.items()}


def test_equals_share_alike():
    with Machine(Image(crowd("a", "share") + crowd("b", "share")), smp=1, extra=VIRTUAL) as m:
        got = shares(m, "ab")
        assert 0.95 < got["a"] / got["b"] < 1.05, got


def test_weights():
    with Machine(Image(crowd("a", "share", weight=100) + crowd("b", "share", weight=300)), smp=1, extra=VIRTUAL) as m:
        got = shares(m, "ab")
        assert 2.8 < got["b"] / got["a"] < 3.2, got


def test_budget():
    """A runaway guest of the best priority gets its fifth and no more, however it spends it."""
    toml = (crowd("a", "share", priority=20, budget='"2ms"', period='"10ms"') + crowd("b", "share", priority=4))
    with Machine(Image(toml), smp=1, extra=VIRTUAL) as m:
        got = shares(m, "ab")
        assert 3.7 < got["b"] / got["a"] < 4.3, got


def test_budget_used_up_still_obeys():
    """It hardly ever runs, and is paused, asked, stopped and destroyed all the same."""
    toml = host(console="merged") + crowd("a", "share", budget='"100us"', period='"1s"') + vm("b", "heartbeat")
    with Machine(Image(toml), smp=1) as m:
        m.heartbeat_goes_on("b")
        to_shell(m)
        command(m, "vcpu regs a 0", FACTS["pc"])
        command(m, "vm pause a", PROMPT)
        assert state(m, "a") == "paused"
        command(m, "vm resume a", PROMPT)
        command(m, "vm stop a", r"\[a\] is off")
        command(m, "vm start a", r"\[a\] starts again")
        m.heartbeat_goes_on("b")
        command(m, "vm destroy a", r"\[a\] is gone")


def test_starved_guest_obeys():
    """A better guest never gives up the core."""
    toml = (host(console="focus") + crowd("better", "share", priority=20)
            + vm("worse", "heartbeat", "4M", more=sched(priority=4)))
    with Machine(Image(toml), smp=1) as m:
        m.expect(r"\[worse\] starts")
        to_shell(m)
        command(m, "vm pause worse", PROMPT)
        assert state(m, "worse") == "paused"
        command(m, "vm reset worse", r"\[worse\] starts again")
        command(m, "vm destroy worse", r"\[worse\] is gone")


# ---- sleeping and placing ------------------------------------------------------------------------------------------

def idle_exits(m, name):
    return sum(r["count"] for r in rows(m, f"exits {name}") if r["reason"] == "idle")


@pytest.mark.parametrize("together", [pytest.param(False, marks=pytest.mark.needs("idle-alone")), True])
def test_wait_for_interrupt_is_trapped_only_in_company(together):
    toml = (host(console="merged") + vm("a", "heartbeat", more=sched(pcpus=[1]))
            + vm("b", "heartbeat", more=sched(pcpus=[1 if together else 2])))
    with Machine(Image(toml), smp=3) as m:
        m.expect_all([r"\[a\] heartbeat 3", r"\[b\] heartbeat 3"])
        to_shell(m)
        before = idle_exits(m, "a")
        m.heartbeat_goes_on("a")
        after = idle_exits(m, "a")
        assert (after > before) == together, (before, after)


def places(m):
    """Where the vCPUs of all guests are, at one moment."""
    return {r["vm"]: r["cpu"] for r in rows(m, "vcpu list")}


def test_no_core_idles_while_a_guest_waits():
    """Three that never sleep on three cores, each allowed on some: none shares while another core is free."""
    toml = (host(console="focus") + crowd("a", "share", pcpus=[1]) + crowd("b", "share", pcpus=[1, 2])
            + crowd("c", "share", pcpus=[2, 3]))
    with Machine(Image(toml), smp=4) as m:
        m.expect(r"crowd share 2")
        to_shell(m)
        for cpus, where in (("3", {"a": 3, "c": 2, "b": 1}), ("2-3", None), ("1", {"a": 1, "b": 2, "c": 3})):
            command(m, f"vcpu pin a 0 {cpus}", PROMPT)
            for _ in range(50):
                now = places(m)
                if sorted(now.values()) == [1, 2, 3] and where in (None, now):
                    break
            else:
                raise AssertionError((cpus, now))
