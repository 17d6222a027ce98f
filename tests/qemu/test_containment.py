# SPDX-License-Identifier: Apache-2.0
"""A guest's mistake is the guest's problem: the architecture's fault or a fault card, and the victim lives on."""
import os
import re

import pytest
from lodge import ARCH, FACTS, TOP, Image, Machine, assemble, vm
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


@pytest.mark.parametrize("name", FACTS["attackers"])
def test_raw_attacker(name):
    toml = vm("attacker", "@OUT@/attacker.bin", "16M") + VICTIM
    with Machine(Image(toml, {"attacker.bin": assemble(FACTS["attackers"][name])}), smp=1) as m:
        m.expect(r"\[attacker\] starts")
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
    """The cases of guests/redteam: the names in the architecture's table."""
    cases = os.path.join(TOP, "guests", "redteam", ARCH, "cases.c")
    if not os.path.exists(cases):
        return []
    with open(cases, encoding="utf-8") as f:
        return re.findall(r'^\s*\{"([\w-]+)",', f.read(), re.M)


@pytest.mark.parametrize("case", redteam_cases())
def test_redteam(case):
    """One hostile case: defined errors for the attacker, or a fault card; nothing for the victim."""
    toml = vm("attacker", "@BUILD@/guests/redteam.bin", "32M", boot=f'cmdline = "case={case}"') + VICTIM
    with Machine(Image(toml), smp=2) as m:
        if case == "lost":
            m.expect_all([r"\[attacker\] redteam lost: ", r"guest 'attacker' stopped: its exception vectors"])
        else:
            m.expect(rf"\[attacker\] redteam {case}: PASS")
        m.heartbeat_goes_on("victim", beats=4)
        m.never(r"(?i)panic", 1)


def test_linux_survives_probing():
    """Linux pokes at addresses where nothing lives; it gets a bus error, not an end."""
    with Machine(Image(linux() + VICTIM)) as m:
        m.linux_up()
        m.shell(f"devmem {FACTS['hole']:#x} 32; true", r"(?i)bus error|0x[0-9A-F]{8}|not found|Operation not permitted|rror")
        m.shell("echo 6''7", r"\b67\b")
        m.heartbeat_goes_on("victim")
