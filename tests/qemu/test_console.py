# SPDX-License-Identifier: Apache-2.0
"""One serial line for the hypervisor and all guests: who is heard, who is typed to, and that nobody can pretend."""
import re

from lodge import Image, Machine, vm
from scenarios import host

PAIR = vm("one", "heartbeat") + vm("two", "heartbeat")


def up(m):
    m.expect_all([r"\[one\] heartbeat: up", r"\[two\] heartbeat: up"])


def test_merged_names_every_line():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        up(m)
        m.expect_all([r"\[one\] heartbeat 2", r"\[two\] heartbeat 2"])


def test_input_follows_the_prefix_key():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        up(m)
        m.enter("hello")
        first = m.expect(r"\[(one|two)\] echo: hello").group(1)
        m.key("n")
        m.enter("again")
        second = m.expect(r"\[(one|two)\] echo: again").group(1)
        assert first != second


def test_focus_shows_one_guest_and_keeps_the_others():
    with Machine(Image(host(console="focus") + PAIR)) as m:
        m.expect(r"heartbeat 2")
        m.key("n")
        m.expect(r"heartbeat 1\b")  # what it said before is shown now
        m.enter("hello")
        m.expect(r"echo: hello")


def test_mode_is_switched_by_key():
    with Machine(Image(host(console="focus") + PAIR)) as m:
        m.expect(r"heartbeat 2")
        m.key("m")
        m.expect_all([r"\[one\] heartbeat \d", r"\[two\] heartbeat \d"])
        m.key("m")
        m.expect(r"(?m)^heartbeat \d|\nheartbeat \d")


def test_menu_lists_guests():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        up(m)
        m.enter("poweroff")
        gone = m.expect(r"\[(one|two)\] is off").group(1)
        other = "two" if gone == "one" else "one"
        m.key("l")
        m.expect_all([rf"{gone}\W.*stopped", rf"{other}\W.*running"])


def test_menu_help():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        up(m)
        m.key("h")
        m.expect(r"(?i)next")


def test_quit():
    with Machine(Image(host(console="merged") + PAIR)) as m:
        up(m)
        m.key("q")
        assert m.ended() == 0


def test_flood():
    """Linux prints as fast as it can; the other is heard in time and the hypervisor lives."""
    from scenarios import linux
    with Machine(Image(linux() + vm("two", "heartbeat"))) as m:
        m.linux_up()
        m.enter("yes 0123456789012345678901234567890123456789 &")
        m.expect(r"\] (?:0123456789){4}\s")
        m.heartbeat_goes_on("two", beats=5, timeout=60)
        m.enter("kill $!; echo all sa''id")
        m.expect(r"all said")
        m.shell("echo 6''7", r"\b67\b")


def test_forged_prefix():
    """A guest cannot print a line that looks like another guest's, nor like the hypervisor's."""
    from scenarios import linux
    with Machine(Image(host(console="merged") + linux() + vm("victim", "heartbeat"))) as m:
        m.linux_up()
        m.enter(r"printf 'a\r[victim] for''ged 1\n\n[victim] for''ged 2\n\033[2K\033[1G[victim] for''ged 3\n'; echo do''ne")
        seen = []
        while True:
            line = m.expect(r"([^\n]*)\n").group(1)
            seen.append(line)
            if line.rstrip().endswith("done"):
                break
        forged = [line for line in seen if "forged" in line]
        assert {n for line in forged for n in re.findall(r"forged (\d)", line)} == set("123"), seen
        for line in forged:
            assert line.lstrip("\r").startswith("[linux]"), forged
            assert "[victim]" not in line and "\033" not in line, forged


def test_paste():
    """A longer text typed at once arrives whole."""
    with Machine(Image(host(console="merged") + PAIR)) as m:
        up(m)
        text = "abcdefghijklmnopqrstuvwxyz0123456789" * 3
        m.enter(text)
        m.expect(rf"echo: {text}")
