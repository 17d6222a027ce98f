# SPDX-License-Identifier: Apache-2.0
"""The management shell on the shared console: keys, completion, listings, JSON."""
from lodge import ARCH, FACTS, Image, Machine, vm
from scenarios import host
from test_lifecycle import PROMPT, command, rows, to_shell

TOML = host(console="merged") + vm("alpha", "heartbeat") + vm("beta", "heartbeat")


def up(m):
    m.expect_all([r"\[alpha\] heartbeat: up", r"\[beta\] heartbeat: up"])
    to_shell(m)


def test_keys():
    with Machine(Image(TOML)) as m:
        up(m)
        m.type("nonsense\x15lis\x1b[D\x1b[D\x1b[Dvm \x05t\r")  # Ctrl-U, cursor left, Ctrl-E
        m.expect(r"alpha\s+running")
        m.expect(PROMPT)
        m.type("\x1b[A\r")  # the line before
        m.expect(r"beta\s+running")
        m.expect(PROMPT)
        m.enter("bogus")
        m.expect(r"bogus: no such command")


def test_completion():
    with Machine(Image(TOML)) as m:
        up(m)
        m.type("vm inf\tbe\t\r")
        m.expect(r"beta\s+running")
        m.expect(PROMPT)
        m.type("vm re\t\t")
        m.expect(r"reset +resume")


def test_input_returns_to_the_guests():
    with Machine(Image(TOML)) as m:
        up(m)
        m.key("n")
        m.enter("hello")
        m.expect(r"\[(alpha|beta)\] echo: hello")
        to_shell(m)
        m.enter("vm console beta")
        m.expect(r"input goes to beta")
        m.enter("again")
        m.expect(r"\[beta\] echo: again")


def test_listings():
    with Machine(Image(TOML), smp=2, extra="-rtc base=2031-05-04T03:02:01") as m:
        up(m)
        m.heartbeat_goes_on("beta", beats=1)
        assert [r["name"] for r in rows(m, "vm list")] == ["alpha", "beta"]
        assert [(r["vm"], r["vcpu"]) for r in rows(m, "vcpu list")] == [("alpha", 0), ("beta", 0)]
        assert len(rows(m, "host cpu")) == 2
        clock = rows(m, "host time")[0]
        assert clock["hz"] > 0 and clock["utc"].startswith("2031-05-04T03:"), clock
        assert rows(m, "host mem")[0]["free_kib"] > 0
        assert sum(r["count"] for r in rows(m, "host irq")) > 0
        kinds = {r["reason"]: r["count"] for r in rows(m, "exits alpha")}
        assert kinds[FACTS["device_exits"]] > 0
        assert any(r.get("device") == "uart0" for r in rows(m, "vm info alpha"))
        ram = [r for r in rows(m, "vm mem alpha") if r.get("kind") == "ram"]
        assert sum(r["kib"] for r in ram) == 16384
        assert "error" in rows(m, "vm info nobody")[-1]


def test_registers_of_a_running_vcpu():
    with Machine(Image(TOML)) as m:
        up(m)
        m.key("n")
        m.enter("spin")
        name = m.expect(r"\[(alpha|beta)\] spin").group(1)
        to_shell(m)
        command(m, f"vcpu regs {name} 0", FACTS["registers"])
        m.expect(FACTS["frames"])
        command(m, "vcpu regs alpha 7", r"vcpu regs: ")


def test_exits_of_the_architecture_count():
    """Such that never reach the core: firmware calls that the architecture answers by itself."""
    hostile = {"aarch64": vm("alpha", "redteam", "32M", boot='cmdline = "case=hypercall-flood"'),
               "riscv64": vm("alpha", "redteam", "32M", boot='cmdline = "case=csr-read"'), "x86_64": vm("alpha", "heartbeat")}[ARCH]
    with Machine(Image(host(console="merged") + hostile + vm("beta", "heartbeat"))) as m:
        m.expect(r"\[alpha\] (?:redteam [\w-]+: PASS|heartbeat 1)")
        to_shell(m)
        done = {r["reason"]: r["count"] for r in rows(m, "exits alpha")}["done"]
        assert done >= {"aarch64": 200_000, "riscv64": 100}.get(ARCH, 5), done


def test_exit_times():
    with Machine(Image(TOML)) as m:
        up(m)
        command(m, "exits time on")
        m.expect(r"\[alpha\] heartbeat \d")
        m.expect(r"\[alpha\] heartbeat \d")
        timed = {r["reason"]: r for r in rows(m, "exits alpha")}
        kind = FACTS["device_exits"]
        assert timed[kind]["max_ticks"] > 0
        command(m, "exits alpha reset", PROMPT)
        counts = {r["reason"]: r["count"] for r in rows(m, "exits alpha")}
        assert counts.get(kind, 0) < timed[kind]["count"]


def test_pin():
    with Machine(Image(TOML), smp=2) as m:
        up(m)
        for cpu in (1, 0, 1):
            command(m, f"vcpu pin alpha 0 {cpu}", PROMPT)
            m.heartbeat_goes_on("alpha", beats=1)
            assert rows(m, "vcpu list alpha")[0]["cpu"] == cpu
        command(m, "vcpu pin alpha 0 0-1", PROMPT)
        assert rows(m, "vcpu list alpha")[0]["allowed"] == "0-1"
        for cpus in ("9", "0-9", "1-0", "", "x", "0,", "-1", "0,,1", "0x", "99999999999999999999"):
            command(m, f"vcpu pin alpha 0 {cpus}", r"vcpu pin: (?:invalid|out of)|usage: vcpu pin")
        assert rows(m, "vcpu list alpha")[0]["allowed"] == "0-1"


def test_log_level():
    with Machine(Image(TOML)) as m:
        up(m)
        command(m, "log level warn", PROMPT)
        m.enter("vm stop alpha")
        m.never(r"\[alpha\] is off", 2)
        assert rows(m, "log level")[0]["level"] == "warn"


def test_poweroff():
    with Machine(Image(TOML)) as m:
        up(m)
        m.enter("poweroff")
        assert m.ended() == 0
        assert "cannot power" not in m.qemu.before


def test_reboot():
    with Machine(Image(TOML)) as m:
        up(m)
        m.enter("reboot")
        assert m.ended() == 0  # -no-reboot: QEMU ends instead


LISTINGS = ["vm list", "vm info alpha", "vm mem alpha", "vcpu list", "vcpu list beta", "vcpu regs alpha 0", "host cpu",
            "host mem", "host irq", "host time", "exits", "exits beta", "log level", "help", "help vm"]


def test_every_listing_as_json():
    """One object on each line, nothing between; errors too."""
    with Machine(Image(TOML)) as m:
        up(m)
        m.heartbeat_goes_on("beta", beats=1)
        for listing in LISTINGS:
            found = rows(m, listing)
            assert found and all(isinstance(r, dict) and r for r in found), (listing, found)
            assert not any("error" in r for r in found), (listing, found)
        for wrong in ("vm info nobody", "vcpu list nobody", "vcpu regs alpha 9", "exits nobody", "help nonsense"):
            assert "error" in rows(m, wrong)[-1], wrong


BAD = ["vm", "vm info", "vm info alpha beta", "vm start", "vm start nobody", "vm stop nobody", "vm pause nobody",
       "vm resume nobody", "vm reset nobody", "vm destroy nobody", "vm create", "vm create /no/such.toml", "vm mem nobody",
       "vm console nobody", "vm bogus alpha", "vcpu", "vcpu list nobody", "vcpu regs", "vcpu regs alpha", "vcpu regs alpha x",
       "vcpu regs alpha 1", "vcpu regs nobody 0", "vcpu pin alpha 0", "vcpu pin alpha 7 0", "vcpu pin nobody 0 0", "host",
       "host bogus", "host cpu 1", "exits nobody", "exits alpha beta", "exits time", "exits time maybe", "exits nobody reset",
       "log", "log level loud", "log level info info", "reboot now", "poweroff please", "a b c d e f g h i j k l m n o p q r",
       "x" * 300, "vm info " + "y" * 200]


def test_bad_arguments():
    """Each gets a line that says why, and changes nothing."""
    with Machine(Image(TOML), smp=2) as m:
        up(m)
        for line in BAD:
            m.enter(line)
            m.expect(r"usage: |: [a-z`]")
            m.expect(PROMPT)
        assert [r["state"] for r in rows(m, "vm list")] == ["running", "running"]
        m.heartbeat_goes_on("alpha", beats=1)
