#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The soak: soak.py --minutes N. Two SMP Linux guests under load, two metronomes at high priority, one spinning guest.

The machine runs in virtual time (-icount), so lateness is what the hypervisor causes, not the load of this computer.
Nothing may stall, no metronome may miss a tick or take one later than its bound, and the log may hold no error.
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


def soak(machine, seconds):
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
        if "metronome" in text and int(match.group(2)) > 1:  # the first second is the guests' start
            worst = max(worst, int(match.group(3)))
            if int(match.group(3)) > LATE_US or int(match.group(4)) > 0:
                return text, seen, worst
        for name, when in last.items():
            if time.monotonic() - when > STALL_S * lodge.SCALE:
                return f"{name} gives no sign of life", seen, worst
    return None, seen, worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--smp", type=int, default=2)
    args = parser.parse_args()
    os.makedirs(os.path.join(lodge.TOP, "build", "test-logs"), exist_ok=True)
    lodge.Machine.log_path = os.path.join(lodge.TOP, "build", "test-logs", "soak.log")
    image = lodge.Image(CONFIG)
    with lodge.Machine(image, smp=args.smp, mem="1G", extra="-icount shift=1,sleep=off",
                       limit=args.minutes * 60 + 600) as machine:
        machine.expect(r"\[alpha\] soak 1\b", timeout=600)
        machine.expect(r"\[beta\] soak \d+", timeout=600)
        wrong, seen, worst = soak(machine, args.minutes * 60)
    for name, count in seen.items():
        print(f"soak: {name}: {count} signs of life")
    print(f"soak: latest tick {worst} us")
    if wrong:
        print(f"soak: FAILED: {wrong}\nsoak: log: {lodge.Machine.log_path}")
        return 1
    print("soak: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
