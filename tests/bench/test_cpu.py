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
    """Use that much processor time in this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_stat_is_read_whatever_the_name() -> None:
    """A name with spaces and brackets moves none of the figures behind it."""
    assert parse_stat(LINE) == Process(
        *(4242, 17, "a (very) odd) name", 310 / TICKS, 90 / TICKS, 40 / TICKS, 300 * PAGE)
    )
    assert parse_stat(LINE).own == 400 / TICKS


def test_a_family_is_everybody_that_descends() -> None:
    """Children of children belong to it, their neighbours do not."""
    alike = [
        Process(pid, parent, "", 0, 0, 0, 0)
        for pid, parent in [(4, 3), (2, 1), (3, 2), (9, 1), (5, 9)]
    ]
    assert {process.pid for process in family([2], alike)} == {2, 3, 4}


def test_work_of_a_child_counts_and_still_does_when_it_has_ended() -> None:
    """What a child used is there while it runs and after its end."""
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


def test_this_process_work_is_seen() -> None:
    """Work done between two looks is their difference, to the clock's grain."""
    before = used([os.getpid()])
    burn(0.2)
    assert used([os.getpid()]) - before == pytest.approx(0.2, abs=0.04)


def test_the_work_of_threads_is_told_apart() -> None:
    """What one thread works is its own, and not that of the first."""

    def work() -> None:
        burn(0.2)
        done.wait()

    def worked(thread: int | None) -> float:
        return next(each for each in threads(os.getpid()) if each.pid == thread).own

    done, before = threading.Event(), worked(os.getpid())
    worker = threading.Thread(target=work)
    worker.start()
    while worked(worker.native_id) < 0.18:
        time.sleep(0.02)
    assert worked(os.getpid()) - before < 0.15
    done.set()
    worker.join()


def test_all_processors_work_is_at_least_ones() -> None:
    """The machine's total grows by no less than what one process used."""
    before = busy()
    burn(0.2)
    assert busy() - before >= 0.15


def test_a_process_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """A process that ends while the list is read is left out."""
    (tmp_path / "12").mkdir()
    (tmp_path / "self").mkdir()
    assert processes(tmp_path) == []


def test_memory_is_some() -> None:
    """A process holds some megabytes."""
    assert memory(os.getpid()) > 2**20
