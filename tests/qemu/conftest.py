# SPDX-License-Identifier: Apache-2.0
"""Names each test's log, ends forgotten machines, gives tests a folder for their disks."""
import os
import re
import shutil

import pytest
from lodge import ARCH, FACTS, LOGS, TOP, Machine

# What only one architecture has is not there for the others.
# (U-Boot's build for arm64 keeps its environment in flash memory, which the virtual board has not.)
OF_ARCH = {"test_riscv.py": "riscv64", "test_firmware.py": "riscv64", "test_gic.py": "aarch64",
           "test_cpu_start.py": "aarch64", "test_x86.py": "x86_64", "test_pc_disks.py": "x86_64", "test_bochs.py": "x86_64"}
collect_ignore = [name for name, arch in OF_ARCH.items() if arch != ARCH]


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(what): only where the architecture's table says that it `has` this")


def pytest_collection_modifyitems(items):
    """A table without rows is no test, nor is a scenario about what an architecture has not."""
    items[:] = [item for item in items
                if not any("empty parameter set" in str(mark.kwargs.get("reason")) for mark in item.iter_markers("skip"))
                and all(mark.args[0] in FACTS["has"] for mark in item.iter_markers("needs"))]


@pytest.fixture(autouse=True)
def machines(request):
    os.makedirs(LOGS, exist_ok=True)
    name = re.sub(r"[^\w.=-]+", "_", request.node.name).strip("_")
    Machine.log_path = os.path.join(LOGS, f"{request.node.path.stem}.{name}.log")
    open(Machine.log_path, "w", encoding="utf-8").close()
    yield
    for machine in list(Machine.alive):
        machine.kill()


@pytest.fixture
def work(request):
    """A folder for one test, gone when it passes."""
    name = re.sub(r"[^\w.=-]+", "_", request.node.name).strip("_")
    path = os.path.join(TOP, "build", "test-work", f"{request.node.path.stem}.{name}")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    yield path
    report = getattr(request.node, "report_call", None)
    if report is None or report.passed:
        shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.report_call = report
