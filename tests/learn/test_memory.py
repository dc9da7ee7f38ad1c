"""The allocator setting, in a process of its own because it lasts."""

import subprocess
import sys

import pytest

from satsqueeze.learn import memory

SCRIPT = """
import resource, sys
import numpy as np
from satsqueeze.learn.memory import keep_freed_memory
if sys.argv[1] == "on":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**23).sum()
before = faults()
for _ in range(10):
    np.ones(2**23).sum()
print(faults() - before)
"""


def faults(mode: str) -> int:
    output = subprocess.run([sys.executable, "-c", SCRIPT, mode], check=True, capture_output=True, text=True).stdout
    return int(output)


@pytest.mark.skipif(memory.platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_memory_is_not_faulted_in_again():
    # 64 MiB ten times over; a page fault brings at least 4 KiB.
    assert faults("on") < 0.2 * faults("off")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.platform, "system", lambda: "Darwin")
    assert not memory.keep_freed_memory()
