# SPDX-License-Identifier: Apache-2.0
"""A guest's mistake is the guest's problem: the architecture's fault or a fault card, and the victim lives on."""
import os
import re

import pytest
from lodge import ARCH, FACTS, LIMIT, TOP, Image, Machine, assemble, vm
from scenarios import linux

VICTIM = vm("victim", "heartbeat")
PAIR = vm("attacker", "heartbeat") + VICTIM


@pytest.mark.parametrize("smp", [1, 2])
@pytest.mark.parametrize("command", ["crash", "wild", "undef"])
def test_mistake(command, smp):
    with Machine(Image(PAIR), smp=smp) as m:
        m.expect_all([r"\[attacker\] heartbeat: up", r"\[victim\] heartbeat: up"])
        m.enter(command)
        m.expect(rf"\[attacker\] {command}:")
        m.expect(r"\[attacker\] " + FACTS["exception"] + r"|guest 'attacker' stopped")
        m.heartbeat_goes_on("victim")
        m.never(r"(?i)panic", 1)


def test_spin_with_interrupts_masked():
    with Machine(Image(PAIR), smp=1) as m:
        m.expect_all([r"\[attacker\] heartbeat: up", r"\[victim\] heartbeat: up"])
        m.enter("spin")
        m.expect(r"\[attacker\] spin:")
        m.heartbeat_goes_on("victim", beats=5)


def test_raw_attackers():
    """All at once on one core, most of them without end: the victim has its share."""
    attackers = FACTS["attackers"]
    toml = "".join(vm(name, f"@OUT@/{name}.bin", "16M") for name in attackers) + VICTIM
    with Machine(Image(toml, {f"{name}.bin": assemble(code) for name, code in attackers.items()}), smp=1) as m:
        m.expect_all([rf"\[{name}\] starts" for name in attackers])
        m.heartbeat_goes_on("victim", beats=5)
        m.never(r"(?i)panic", 1)


# Vectors at an address where nothing lives, then an undefined instruction: only the hypervisor can end this.
LOST = assemble(FACTS["lost"])


def test_on_crash_restart():
    """Fresh memory, fresh images, again and again, while the other is not disturbed."""
    toml = vm("attacker", "@OUT@/attacker.bin", more='on_crash = "restart"') + VICTIM
    with Machine(Image(toml, {"attacker.bin": LOST})) as m:
        m.expect(r"guest 'attacker' stopped")
        m.expect(r"\[attacker\] starts again \(1\)")
        m.expect(r"\[attacker\] starts again \(2\)")
        m.heartbeat_goes_on("victim")


def test_on_crash_stop_shows_a_fault_card():
    toml = vm("attacker", "@OUT@/attacker.bin", more='on_crash = "stop"') + VICTIM
    with Machine(Image(toml, {"attacker.bin": LOST})) as m:
        m.expect(r"guest 'attacker' stopped: \S+")
        m.expect(r"vCPU 0")
        m.expect(FACTS["pc"])
        m.expect(r"scenario\.toml:\d+; on_crash")
        m.heartbeat_goes_on("victim")
        m.never(r"starts again", 3)


def redteam_cases():
    """The cases of guests/redteam that do not end it: the names in the architecture's table, or all in one boot."""
    if FACTS["redteam_together"]:
        return ["all"]
    cases = os.path.join(TOP, "guests", "redteam", ARCH, "cases.c")
    if not os.path.exists(cases):
        return []
    with open(cases, encoding="utf-8") as f:
        names = re.findall(r'^\s*\{"([\w-]+)",', f.read(), re.M)
    return [name for name in names if name not in FACTS["redteam_ends"]]


def redteam(name, case):
    return vm(name, "@BUILD@/guests/redteam.bin", "32M", boot="" if case == "all" else f'cmdline = "case={case}"')


@pytest.mark.parametrize("case", redteam_cases())
def test_redteam(case):
    """One hostile case, or one after another: defined errors for the attacker, nothing for the victim."""
    with Machine(Image(redteam("attacker", case) + VICTIM), smp=2) as m:
        m.expect(r"\[attacker\] redteam: (\d+) of \1 passed" if case == "all" else rf"\[attacker\] redteam {case}: PASS",
                 timeout=2 * LIMIT)
        m.heartbeat_goes_on("victim", beats=4)
        m.never(r"(?i)panic", 1)


def test_redteam_ends():
    """What no guest can go on from: a fault card says why, at once, and the victim goes on."""
    ends = FACTS["redteam_ends"]
    with Machine(Image("".join(redteam(case, case) for case in ends) + VICTIM), smp=1) as m:
        m.expect_all([rf"guest '{case}' stopped: {why}" for case, why in ends.items()])
        m.heartbeat_goes_on("victim", beats=4)
        m.never(r"(?i)panic", 1)


def test_linux_survives_probing():
    """Linux pokes at addresses where nothing lives; it gets a bus error, not an end."""
    with Machine(Image(linux() + VICTIM)) as m:
        m.linux_up()
        m.shell(f"devmem {FACTS['hole']:#x} 32; true", r"(?i)bus error|0x[0-9A-F]{8}|not found|Operation not permitted|rror")
        m.shell("echo 6''7", r"\b67\b")
        m.heartbeat_goes_on("victim")
