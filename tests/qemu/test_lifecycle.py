# SPDX-License-Identifier: Apache-2.0
"""Guests created, paused, stopped, reset and destroyed at run time, from the shell, while others go on."""
import json
import random
import time

import pytest
from lodge import FACTS, Disk, Image, Machine, vm
from scenarios import host
from test_containment import LOST

PAIR = vm("one", "heartbeat") + vm("two", "heartbeat")
PROMPT = r"lodge> "


def to_shell(m):
    m.key("s")
    m.expect(PROMPT)


def command(m, text, expect=None):
    """Runs a command of the shell; returns the match of `expect`."""
    m.enter(text)
    return m.expect(expect) if expect else m.expect(r"lodge> (?!\S)")


def rows(m, text):
    """The rows of a listing as dictionaries. The prompt is no sign of its end, nor is a line shown once only: what stands
    unfinished on the screen comes again when a guest's line has broken it. A command that does not exist follows."""
    m.enter(text + " --json")
    m.enter("#end")
    found = []
    while True:
        match = m.expect(r"(?:\[shell\] |^|[\r\n])(\{[^\r\n]*\})(?=[\r\n])", r"#end: no such command")
        if "{" not in match.group(0):
            m.expect(PROMPT)
            return found
        row = json.loads(match.group(1))
        if row not in found[-1:]:
            found.append(row)


def state(m, name):
    for row in rows(m, "vm list"):
        if row["name"] == name:
            return row["state"]
    return None


def counters(m):
    row = rows(m, "host mem")[0]
    return {k: row[k] for k in ("objects", "object_bytes")}


def settled(m, wanted=None):
    """The counters, once they are so or change no more: the memory of ended threads is freed by a thread of its own."""
    before, now, same = None, counters(m), 0
    for _ in range(40):
        if wanted is not None and now == wanted:
            break
        same = same + 1 if now == before else 0
        if wanted is None and same >= 3:
            break
        time.sleep(0.25)
        before, now = now, counters(m)
    return now


def test_pause_and_resume():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        m.expect_all([r"\[one\] heartbeat 2", r"\[two\] heartbeat 2"])
        to_shell(m)
        m.enter("vm pause one")
        m.expect(PROMPT)
        assert state(m, "one") == "paused"
        m.never(r"\[one\] heartbeat", 3)
        m.heartbeat_goes_on("two")
        m.enter("vm resume one")
        m.heartbeat_goes_on("one")
        m.enter("vm resume one")  # it is so already
        m.never(r"vm resume: ", 1)


def test_stop_start_reset():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        m.expect_all([r"\[one\] heartbeat 3", r"\[two\] heartbeat 2"])
        to_shell(m)
        command(m, "vm stop one", r"\[one\] is off")
        assert state(m, "one") == "stopped"
        command(m, "vm pause one", r"vm pause: \S+")
        command(m, "vm start one", r"\[one\] starts again")
        m.expect(r"\[one\] heartbeat 1\b")
        m.expect(r"\[one\] heartbeat 2\b")
        command(m, "vm reset one", r"\[one\] starts again")
        m.expect(r"\[one\] heartbeat 1\b")
        m.heartbeat_goes_on("two")
        command(m, "vm stop nobody", r"vm stop: not found")


def test_create_and_destroy(work):
    """A VM of a file on the FAT disk; mistakes are refused as at boot, and leave nothing."""
    disk = Disk(f"{work}/disk.img", 16, {
        "/new.toml": (vm("three", "heartbeat") + vm("four", "heartbeat", more="autostart = false")).encode(),
        "/taken.toml": vm("ONE", "heartbeat").encode(),
        "/bad.toml": (vm("five", "heartbeat") + vm("six", "heartbeat", "99G", more="colour = 3")).encode(),
        "/big.toml": (vm("seven", "heartbeat") + vm("eight", "heartbeat", "4G")).encode(),
    })
    with Machine(Image(host(console="merged", fat_config="off") + PAIR), disk=disk) as m:
        m.expect_all([r"\[one\] heartbeat 1", r"\[two\] heartbeat 1"])
        to_shell(m)
        before = counters(m)
        command(m, "vm create /taken.toml", r"taken\.toml:1:1: .*'ONE' is taken by the VM at")
        command(m, "vm create bad.toml", r"bad\.toml:\d+:\d+: .*colour")
        command(m, "vm create big.toml", r"big\.toml:\d+:\d+: .*vm\.memory")
        command(m, "vm create none.toml", r"vm create: not found")
        assert counters(m) == before
        assert len(rows(m, "vm list")) == 2
        command(m, "vm create new.toml", r"\[three\] heartbeat 1")
        assert state(m, "four") == "created"
        command(m, "vm start four", r"\[four\] heartbeat 1")
        command(m, "vm destroy three", r"\[three\] is gone")
        command(m, "vm destroy four", r"\[four\] is gone")
        m.heartbeat_goes_on("two")
        after = settled(m, before)
        assert after == before, (before, after)


@pytest.mark.parametrize("smp", [1, 4])
def test_killed_at_random_moments(work, smp):
    """What is created and killed leaves nothing; the victim's heart goes on. (1,000 times: the self-test inside the image.)"""
    disk = Disk(f"{work}/disk.img", 16, {"/new.toml": vm("new", "heartbeat", more="cpus = 2").encode()})
    seed = random.Random(4)
    with Machine(Image(host(console="merged", fat_config="off") + vm("victim", "heartbeat")), disk=disk, smp=smp) as m:
        m.expect(r"\[victim\] heartbeat 1")
        to_shell(m)
        command(m, "vm create new.toml", r"\[new\] starts")
        command(m, "vm destroy new", r"\[new\] is gone")
        before = settled(m)
        for _ in range(12):
            command(m, "vm create new.toml", r"\[new\] starts")
            time.sleep(seed.random() * 0.5)
            if seed.random() < 0.4:
                command(m, "vm " + seed.choice(["pause", "stop", "reset"]) + " new", PROMPT)
            command(m, "vm destroy new", r"\[new\] is gone")
        m.heartbeat_goes_on("victim")
        after = settled(m, before)
        assert after == before, (before, after)


def test_crashes_have_a_limit():
    toml = vm("bad", "@OUT@/bad.bin", more='on_crash = "restart"\nrestart_limit = 3') + vm("good", "heartbeat")
    with Machine(Image(host(console="merged") + toml, {"bad.bin": LOST})) as m:
        for n, delay in ((1, 100), (2, 200), (3, 400)):
            m.expect(rf"\[bad\] crashed \({n} of 3 in a row\): next start in {delay} ms")
        m.expect(r"\[bad\] crashed 4 times in a row \(restart_limit\)")
        to_shell(m)
        assert state(m, "bad") == "crashed"
        m.heartbeat_goes_on("good")


def test_crash_may_reset_the_machine():
    toml = vm("bad", "@OUT@/bad.bin", more='on_crash = "reboot-host"') + vm("good", "heartbeat")
    with Machine(Image(host(console="merged") + toml, {"bad.bin": LOST})) as m:
        m.expect(r"\[bad\] crashed: resetting the machine, as on_crash says")
        assert m.ended() == 0  # -no-reboot: QEMU ends instead


def test_fault_card_and_info():
    toml = vm("bad", "@OUT@/bad.bin") + vm("good", "heartbeat")
    with Machine(Image(host(console="merged") + toml, {"bad.bin": LOST})) as m:
        m.expect(r"guest 'bad' stopped: ")
        m.expect(r"\| vCPU 0 of 1, on CPU \d, \d+ ms after its start")
        m.expect(r"\| " + FACTS["pc"])
        to_shell(m)
        command(m, "vm info bad", r"fault\s[\s\S]*" + FACTS["lost_place"])
