# SPDX-License-Identifier: Apache-2.0
"""What the scenarios are written with: images from TOML texts, FAT disks from dictionaries, machines to talk to.

    image = Image(HOST + vm("a", "heartbeat"))       # built on first use, shared by its content
    with Machine(image, smp=2) as m:
        m.expect("heartbeat 3")

Every machine has a time limit, its own copy of the disk, a log build/test-logs/<test>.log, and dies with the test.
LODGE_TIMEOUT_SCALE=3 on a slow machine stretches all limits. What differs between architectures is in arches.py: FACTS.
"""
import contextlib
import ctypes
import fcntl
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pexpect
from arches import ARCHES

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCALE = float(os.environ.get("LODGE_TIMEOUT_SCALE", "1"))
CACHE = os.environ.get("LODGE_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lodge")
LIMIT = 120        # seconds for one expectation
BOOT_LIMIT = 240   # for a Linux kernel to its shell, beside other load
MACHINE_LIMIT = 600

ARCH = os.environ.get("ARCH") or "aarch64"
FACTS = ARCHES[ARCH]
PLATFORM = os.environ.get("PLATFORM") or FACTS["platform"]
BUILD = os.path.join("build", PLATFORM)
LOGS = os.path.join(TOP, "build", "test-logs", ARCH)
QEMU10 = os.path.join(CACHE, "qemu10", "usr")
BOCHS3 = os.path.join(CACHE, "bochs3")
PANIC = r"PANIC on cpu \d+"
PROMPT = r"debian:\S*# "


def guest_file(name):
    """A file of the Debian guest; a missing one is a failure, never a reason to skip."""
    path = os.path.join(CACHE, "guests", ARCH, "debian", name)
    assert os.path.exists(path), f"{path} is not there: scripts/setup --arch {ARCH}"
    return path


# ---- code ----------------------------------------------------------------------------------------------------------

def cross(tool):
    """A program of the cross tool chain that builds the image."""
    prefixes = [os.environ["CROSS_COMPILE"]] if os.environ.get("CROSS_COMPILE") else FACTS["cross"]
    return next((p + tool for p in prefixes if shutil.which(p + tool)), prefixes[-1] + tool)


@functools.lru_cache
def assemble(text):
    """Assembler text as the bytes of a raw image."""
    with tempfile.TemporaryDirectory() as folder:
        obj, binary = f"{folder}/a.o", f"{folder}/a.bin"
        subprocess.run([cross("as"), *FACTS["as"], "-o", obj, "-"], input=text + "\n", text=True, check=True)
        subprocess.run([cross("objcopy"), "-O", "binary", "-j", ".text", obj, binary], check=True)
        with open(binary, "rb") as f:
            return f.read()


# ---- configurations ------------------------------------------------------------------------------------------------

def vm(name, kernel, memory=None, more="", boot="", device=""):
    """One [[vm]] as TOML. `more`, `boot`: further lines of [[vm]] and [vm.boot]; `device`: a backend for a disk."""
    memory = memory or ("128M" if "debian" in kernel or "Image" in kernel else "16M")
    text = f'[[vm]]\nname = "{name}"\nmemory = "{memory}"\n{more}\n[vm.boot]\nkernel = "{kernel}"\n{boot}\n'
    if device:
        text += f'[[vm.device]]\nmodel = "virtio-blk"\nbackend = "{device}"\n'
    return text


def write_if_changed(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:
        if f.read() == data:
            return
    with open(path, "wb") as f:
        f.write(data)


@contextlib.contextmanager
def build_lock():
    """One make at a time: the objects are shared by all images."""
    os.makedirs(os.path.join(TOP, "build"), exist_ok=True)
    with open(os.path.join(TOP, "build", ".test-lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def make(*args):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "OUT", "CONFIG",
                                                            "LODGE_ALLOW_FALLBACK")}
    jobs = f"-j{os.cpu_count() or 1}"
    return subprocess.run(["make", jobs, f"ARCH={ARCH}", f"PLATFORM={PLATFORM}", *args], cwd=TOP, env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=900 * SCALE, check=False)


class Image:
    """A hypervisor image with a configuration of its own. `toml`: a text, or the path of a file in configs/."""
    options = []

    def __init__(self, toml, files=None, selftest=False):
        self.options = ["SELFTEST=1"] if selftest else []
        if "\n" not in toml:
            self.config, key = toml, os.path.basename(toml).removesuffix(".toml")
            self.out = os.path.join(BUILD, "images", key + ("-selftest" if selftest else ""))
        else:
            key = hashlib.sha256((toml + repr(sorted((files or {}).items()))).encode()).hexdigest()[:12]
            self.out = os.path.join(BUILD, "images", key)
            self.config = os.path.join(self.out, "scenario.toml")
            for name, data in (files or {}).items():
                write_if_changed(os.path.join(TOP, self.out, name), data)
            write_if_changed(os.path.join(TOP, self.config), toml.replace("@OUT@", self.out).replace("@BUILD@", BUILD).encode())

    def build(self):
        """(success, what make printed)"""
        with build_lock():
            done = make("image", f"CONFIG={self.config}", f"OUT={self.out}", *self.options)
            if done.returncode == 0:
                os.utime(os.path.join(TOP, self.out, FACTS["image"]))
        return done.returncode == 0, done.stdout

    @property
    def path(self):
        binary = os.path.join(TOP, self.out, FACTS["image"])
        if not self.fresh(binary):
            good, output = self.build()
            assert good, "make image failed:\n" + "\n".join(output.splitlines()[-40:])
        return binary

    def fresh(self, binary):
        """Built in this run of the tests: run_qemu.py leaves a mark when it starts."""
        mark = os.path.join(TOP, "build", ".test-run")
        return (os.environ.get("LODGE_RUN") == "1" and os.path.exists(binary) and os.path.exists(mark)
                and os.path.getmtime(binary) > os.path.getmtime(mark))


# ---- disks ---------------------------------------------------------------------------------------------------------

class Disk:
    """A FAT image made with mtools. `files`: path on the disk -> bytes, or a path of this machine, or a size."""

    def __init__(self, path, size_mib=64, files=None, fat=None):
        self.path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(size_mib << 20)
        # mkfs.fat reports no missing free-space record, unlike mformat; both are what people use.
        self.run("mformat", "-i", path, "-v", "LODGE", *(["-F"] if fat == 32 else []), "::")
        for name, what in (files or {}).items():
            self.add(name, what)

    @staticmethod
    def run(*command, **kwargs):
        env = dict(os.environ, MTOOLS_SKIP_CHECK="1")
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, **kwargs)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout.decode(errors='replace')}"
        return done.stdout

    def add(self, name, what):
        folders = name.strip("/").split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            folder = "::/" + "/".join(folders[:depth])
            if subprocess.run(["mdir", "-i", self.path, folder], capture_output=True).returncode:
                self.run("mmd", "-i", self.path, folder)
        source = what
        if not isinstance(what, str):
            source = self.path + ".part"
            with open(source, "wb") as f:
                if isinstance(what, int):
                    f.truncate(what)
                else:
                    f.write(what)
        self.run("mcopy", "-o", "-i", self.path, source, f"::/{name.strip('/')}")
        if source != what:
            os.unlink(source)

    def read(self, name):
        return self.run("mtype", "-i", self.path, f"::/{name.strip('/')}")

    def check(self):
        """What is wrong with the file system; empty when nothing is."""
        fsck = shutil.which("fsck.fat", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
        command = [fsck, "-n", self.path] if fsck else ["minfo", "-i", self.path, "::"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout


# ---- machines ------------------------------------------------------------------------------------------------------

def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def qemu_version(wanted):
    """The environment that makes scripts/qemu take that version: unpacked by setup, or the installed one if it is so new."""
    if wanted is None:
        return {}
    if os.path.exists(f"{QEMU10}/bin/qemu-system-{ARCH}"):
        return {"QEMU_PREFIX": f"{QEMU10}/bin/", "QEMU_SHARE": f"{QEMU10}/share/qemu"}
    said = subprocess.run([f"qemu-system-{ARCH}", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)", said)
    assert found and int(found.group(1)) >= wanted, f"QEMU {wanted} is not there: scripts/setup --qemu10"
    return {}


class Machine:
    """QEMU with an image; its serial line is talked to by expect() and type(). `qemu`: 10 for that version instead of
    the installed one. `board`: what board.qemu takes, in lower case: gic=2, virt=False, aia="aplic", aia_guests=2."""
    log_path = None   # set by conftest.py for each test
    alive = []
    script = "qemu"   # of scripts/

    def __init__(self, image=None, *, smp=2, mem="1G", cpu=None, disk=None, initrd=None, append=None, machine=None,
                 kernel=None, extra="", limit=MACHINE_LIMIT, qemu=None, **board):
        env = dict(os.environ, ARCH=ARCH, PLATFORM=PLATFORM, SMP=str(smp), MEM=mem,
                   KERNEL=kernel or (image.path if image else "none"), DISK=disk.path if disk else "none",
                   INITRD=initrd.path if initrd else "", APPEND=append or "", EXTRA=extra, CPU=cpu or "",
                   MACHINE=machine or "", TERM="dumb", **qemu_version(qemu),
                   **{k.upper(): {True: "on", False: "off"}.get(v, str(v)) for k, v in board.items()})
        self.log = open(Machine.log_path, "a", encoding="utf-8", errors="replace")
        self.log.write(f"---- smp={smp} mem={mem} cpu={cpu} qemu={qemu} {board} {extra}\n")
        self.end = time.monotonic() + limit * SCALE
        self.qemu = pexpect.spawn(os.path.join(TOP, "scripts", self.script), ["run", BUILD], cwd=TOP, env=env,
                                  encoding="utf-8", codec_errors="replace", dimensions=(50, 400), timeout=LIMIT * SCALE,
                                  preexec_fn=die_with_parent, echo=False, maxread=65536, searchwindowsize=32768)
        self.qemu.logfile_read = self.log
        self.qemu.delaybeforesend = None
        Machine.alive.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """kill -9, by its process id."""
        if self in Machine.alive:
            Machine.alive.remove(self)
        if self.qemu.isalive():
            self.qemu.kill(signal.SIGKILL)
            self.qemu.wait()
        with contextlib.suppress(Exception):
            self.qemu.close(force=True)
        self.log.close()

    def tail(self):
        self.log.flush()
        with open(Machine.log_path, encoding="utf-8", errors="replace") as f:
            return "\n".join(f.read().replace("\r", "").splitlines()[-40:])

    def expect(self, *patterns, timeout=LIMIT):
        """Waits for one of the regular expressions; returns the match. After the limit: the last 40 lines."""
        seconds = min(timeout * SCALE, self.end - time.monotonic())
        if seconds <= 0:
            raise AssertionError(f"the machine's time is up; last lines:\n{self.tail()}")
        try:
            if self.qemu.expect([*patterns, PANIC], timeout=max(seconds, 1)) < len(patterns):
                return self.qemu.match
            self.never(r"\0", 1)  # the backtrace
            problem = "before the hypervisor panicked"
        except pexpect.TIMEOUT:
            problem = f"within {seconds:.0f} s"
        except pexpect.EOF:
            problem = "before QEMU ended"
        raise AssertionError(f"not seen {problem}: {' | '.join(patterns)}\nlast lines:\n{self.tail()}")

    def expect_all(self, patterns, timeout=LIMIT):
        """All of them, in any order."""
        left = list(patterns)
        while left:
            self.expect(*left, timeout=timeout)
            left = [p for p in left if not re.search(p, self.qemu.after)]

    def never(self, pattern, seconds):
        """The pattern must not appear for so long."""
        try:
            self.qemu.expect(pattern, timeout=seconds * SCALE)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            raise AssertionError(f"QEMU ended\n{self.tail()}") from None
        raise AssertionError(f"appeared: {self.qemu.match.group(0)!r}\n{self.tail()}")

    def type(self, text):
        """Bytes as if typed; no line end is added."""
        for start in range(0, len(text), 16):  # a UART has a small FIFO
            self.qemu.send(text[start:start + 16])
            time.sleep(0.02)

    def enter(self, text):
        self.type(text + "\r")

    def key(self, letter):
        """A command of the console: the prefix key, then a letter."""
        self.type("\x1d" + letter)

    def ended(self, timeout=60):
        """Waits for QEMU's own end; returns its exit status."""
        try:
            self.qemu.expect(pexpect.EOF, timeout=timeout * SCALE)
        except pexpect.TIMEOUT:
            raise AssertionError(f"QEMU did not end\n{self.tail()}") from None
        self.qemu.close()
        return self.qemu.exitstatus

    # ---- Linux guests: a shell behind a console that others write to as well

    def linux_up(self, timeout=BOOT_LIMIT):
        """To the busybox shell."""
        self.expect(r"Debian's Linux \S+ with busybox", timeout=timeout)
        self.type("\r")
        self.expect(PROMPT)

    def shell(self, command, expect, timeout=LIMIT):
        """Types a command, waits for what it must print and for its end; returns the match. The quotes keep the
        echo of the command from being taken for its result."""
        self.enter(command + "; echo en''d $?")
        match = self.expect(expect, timeout=timeout)
        self.expect(r"end 0\b", timeout=timeout)
        return match

    def heartbeat_goes_on(self, name=None, beats=3, timeout=LIMIT):
        """Numbers still grow; so many further ones are seen."""
        pattern = (rf"\[{name}\] " if name else "") + r"heartbeat (\d+)"
        first = int(self.expect(pattern, timeout=timeout).group(1))
        while int(self.expect(pattern, timeout=timeout).group(1)) < first + beats:
            pass


class Bochs(Machine):
    """The same under Bochs: an Intel CPU with VMX, about a hundredth of QEMU's speed. `disk` is on its IDE controller; `newer`: 3.0."""
    script = "bochs"

    def __init__(self, image, newer=False, **options):
        self.folder = Machine.log_path.removesuffix(".log") + ".bochs"
        os.environ["LODGE_BOCHS_DIR"] = self.folder
        os.environ["BOCHS"] = BOCHS3 if newer else ""
        super().__init__(image, **{"smp": 1, "mem": "512M", **options})

    def kill(self):
        super().kill()
        shutil.rmtree(self.folder, ignore_errors=True)
