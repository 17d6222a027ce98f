#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make ARCH=... run` as a person sees it: both guests, a typed command, the way out. Bounded. readme_run.py ARCH"""
import os
import sys

import pexpect

LIMIT = 300 * float(os.environ.get("LODGE_TIMEOUT_SCALE", "1"))
ARCH = sys.argv[1]
MARK = f"build/ci-run-ok.{ARCH}"


def main():
    if os.path.exists(MARK):
        os.unlink(MARK)
    person = pexpect.spawn("make", [f"ARCH={ARCH}", "run"], encoding="utf-8", codec_errors="replace", timeout=LIMIT,
                           dimensions=(50, 200))
    person.logfile_read = sys.stdout
    person.delaybeforesend = None
    try:
        person.expect(r"Debian's Linux \S+ with busybox")
        person.expect(r"heartbeat \d+")
        person.send("\r")
        person.expect("# ")
        person.send("uname -a\r")
        person.expect(rf"Linux \S+ \S+ .*{ARCH} GNU/Linux")
        person.expect(r"heartbeat \d+")
        person.send("\x01x")
        person.expect(pexpect.EOF, timeout=30)
    except (pexpect.TIMEOUT, pexpect.EOF) as e:
        print(f"\nFAILED make ARCH={ARCH} run: {type(e).__name__}; last seen: {(person.before or str())[-300:]!r}")
        return 1
    finally:
        person.close(force=True)
    print(f"\nok     make ARCH={ARCH} run: both guests, uname -a, Ctrl-A x")
    with open(MARK, "w", encoding="utf-8") as f:
        f.write("ok\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
