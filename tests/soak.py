#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The soak: soak.py --minutes N. Two SMP Linux guests under load, two metronomes at high priority, one spinning guest.

Half of the time on one CPU in virtual time (-icount): there lateness is what the hypervisor causes, not the load of
this computer, and no metronome may miss a tick or take one later than its bound. Half of it on several CPUs in real
time. In both nothing may stall, and the log may hold no error.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "qemu"))
import lodge  # noqa: E402  (its folder is not a package)

LOAD = "i=0;while,:;do,i=$((i+1));dd,if=/dev/urandom,of=/dev/vda,bs=4k,count=64,2>/dev/null;" \
       "dd,if=/dev/vda,bs=4k,count=64,2>/dev/null|md5sum>/dev/null;ls,-lR,/bin,|wc,-l>/dev/null;" \
       "for,j,in,1,2,3,4,5,6,7,8;do,sh,-c,:&,done;wait;echo,soak,$i;done"
LATE_US = 900      # of a metronome's tick: printing its own line included
STALL_S = 120      # real seconds without a sign of life of a guest
CONSOLE_STEP_S = 5


def linux(name):
    return (f'[[vm]]\nname = "{name}"\ncpus = 2\nmemory = "128M"\n[vm.boot]\nkernel = "debian"\n'
            f'cmdline = "lodge.name={name} lodge.run={LOAD}"\n'
            f'[[vm.device]]\nmodel = "virtio-blk"\nbackend = "ram:"\nsize = "1M"\n')


def small(name, kernel, priority, cmdline=""):
    return (f'[[vm]]\nname = "{name}"\nmemory = "16M"\n[vm.sched]\npriority = {priority}\n'
            f'[vm.boot]\nkernel = "{kernel}"\ncmdline = "{cmdline}"\n')


CONFIG = (linux("alpha") + linux("beta") + small("tick", "metronome", 16) + small("tock", "metronome", 16)
          + small("spinner", "heartbeat", 8, "run=spin"))
SIGNS = [r"\[(alpha|beta)\] soak (\d+)",
         r"\[(tick|tock)\] metronome (\d+): \d+ ticks, latest (\d+) us, missed (\d+)",
         r"error: [^\r\n]*", r"PANIC[^\r\n]*", r"guest '[^\r\n]*' stopped[^\r\n]*"]


def soak(machine, seconds, punctual):
    """Watches until the time is up; returns what was wrong, and how much was seen of each guest."""
    end = time.monotonic() + seconds
    last = {name: time.monotonic() for name in ("alpha", "beta", "tick", "tock")}
    seen, worst = dict.fromkeys(last, 0), 0
    while time.monotonic() < end:
        match = machine.expect(*SIGNS, timeout=STALL_S)
        text = match.group(0)
        if not text.startswith("["):
            return text, seen, worst
        name = match.group(1)
        last[name], seen[name] = time.monotonic(), seen[name] + 1
        if "metronome" in text:
            worst = max(worst, int(match.group(3)))
            if punctual and (int(match.group(3)) > LATE_US or int(match.group(4)) > 0):
                return text, seen, worst
        for name, when in last.items():
            if time.monotonic() - when > STALL_S * lodge.SCALE:
                return f"{name} gives no sign of life", seen, worst
    return None, seen, worst


def run(image, smp, minutes):
    """True when nothing was wrong."""
    virtual = smp == 1
    with lodge.Machine(image, smp=smp, mem="1G", extra="-icount shift=1,sleep=off" if virtual else "",
                       limit=minutes * 60 + 1800) as machine:
        machine.expect(r"\[(alpha|beta)\] soak 1\b", timeout=900)
        wrong, seen, worst = soak(machine, minutes * 60, virtual)
    print(f"soak: {smp} CPU(s) in {'virtual' if virtual else 'real'} time: signs of life",
          ", ".join(f"{name} {count}" for name, count in seen.items()), f"- latest tick {worst} us")
    silent = [name for name, count in seen.items() if count == 0]
    if silent and not wrong:
        wrong = f"never heard of {' and '.join(silent)}"
    if wrong:
        print(f"soak: FAILED: {wrong}\nsoak: log: {lodge.Machine.log_path}")
    return not wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--smp", type=int, default=2)
    args = parser.parse_args()
    os.makedirs(lodge.LOGS, exist_ok=True)
    lodge.Machine.log_path = os.path.join(lodge.LOGS, "soak.log")
    image = lodge.Image(CONFIG)
    good = run(image, 1, args.minutes / 2) and run(image, max(args.smp, 2), args.minutes / 2)
    print("soak: ok" if good else "soak: FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
