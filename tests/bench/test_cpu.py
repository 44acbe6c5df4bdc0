import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.cpu import (
    PAGE,
    TICKS,
    Process,
    busy,
    family,
    memory,
    parse_stat,
    processes,
    threads,
    used,
)

LINE = (
    "4242 (a (very) odd) name) S 17 4242 4242 0 -1 4194304 5 0 0 0 310 90 25 15 20 0 3 0 1000"
    " 1048576 300 18446744073709551615 0 0 0 0"
)


def burn(seconds: float) -> None:
    """Use `seconds` of CPU in this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_stat_with_an_odd_process_name() -> None:
    """A name with spaces and brackets does not shift the figures after it."""
    assert parse_stat(LINE) == Process(
        *(4242, 17, "a (very) odd) name", 310 / TICKS, 90 / TICKS, 40 / TICKS, 300 * PAGE)
    )
    assert parse_stat(LINE).own == 400 / TICKS


def test_a_family_has_all_descendants() -> None:
    """A family has the descendants of its root, and no other process."""
    machine = [
        Process(pid, parent, "", 0, 0, 0, 0)
        for pid, parent in [(4, 3), (2, 1), (3, 2), (9, 1), (5, 9)]
    ]
    assert {process.pid for process in family([2], machine)} == {2, 3, 4}


def test_cpu_of_a_child_counts_after_its_end() -> None:
    """The CPU time of an ended grandchild counts for the system."""
    grandchild = "import time\nwhile time.process_time() < 0.3: pass"
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])\n"
        "print(flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0.28 <= used([child.pid]) < 1.5
        child.communicate()


def test_cpu_of_this_process() -> None:
    """Two readings differ by the CPU time used between them."""
    before, began = used([os.getpid()]), time.process_time()
    burn(0.2)
    # Other threads of this process use some, too, and both readings count it.
    spent = time.process_time() - began
    assert spent >= 0.2
    assert used([os.getpid()]) - before == pytest.approx(spent, abs=0.04)


def test_each_thread_has_its_own_cpu_time() -> None:
    """The CPU time of a second thread does not count for the main thread."""

    def work() -> None:
        burn(0.2)
        done.wait()

    def cpu_of(thread: int | None) -> float:
        return next(each for each in threads(os.getpid()) if each.pid == thread).own

    done, before = threading.Event(), cpu_of(os.getpid())
    worker = threading.Thread(target=work)
    worker.start()
    while cpu_of(worker.native_id) < 0.18:
        time.sleep(0.02)
    assert cpu_of(os.getpid()) - before < 0.15
    done.set()
    worker.join()


def test_cpu_of_the_machine_includes_this_process() -> None:
    """The machine's CPU time grows at least by the CPU time of one process."""
    before = busy()
    burn(0.2)
    assert busy() - before >= 0.15


def test_ended_process_is_skipped(tmp_path: Path) -> None:
    """The list skips a process that ends while it is read."""
    (tmp_path / "12").mkdir()
    (tmp_path / "self").mkdir()
    assert processes(tmp_path) == []


def test_memory_of_this_process() -> None:
    """A Python process needs more than a megabyte."""
    assert memory(os.getpid()) > 2**20
