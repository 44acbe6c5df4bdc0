"""Counts the flush calls of a running process through ptrace(2)."""

import ctypes
import os
import platform
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

_SEIZE, _INTERRUPT, _SYSCALL, _DETACH, _SYSCALL_INFO = 0x4206, 0x4207, 24, 17, 0x420E
_CLONED_TOO, _MARKED = 0x8, 0x1
_WALL = 0x40000000
_ENTRY = 1
_STOP_EVENT = 128
_TRAP = 5
_NAP = 0.0002
FLUSHES = {"x86_64": {74: "fsync", 75: "fdatasync"}, "aarch64": {82: "fsync", 83: "fdatasync"}}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _Info(ctypes.Structure):
    _fields_ = [
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
        ("more", ctypes.c_uint64),
    ]


class Flushes:
    """Counts fsync and fdatasync of a process while the context is active."""

    def __init__(self, pid: int) -> None:
        self.files: Counter[str] = Counter()
        """Flushes begun, by file name."""
        self._pid = pid
        self._numbers = FLUSHES[platform.machine()]
        self._ready, self._over = threading.Event(), threading.Event()
        # The tracer is a thread. When it ends, the kernel detaches it from the process.
        self._thread = threading.Thread(target=self._trace)
        self._error: OSError | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _trace(self) -> None:
        try:
            tasks = {int(task.name) for task in Path(f"/proc/{self._pid}/task").iterdir()}
            for task in tasks:
                _ptrace(_SEIZE, task, _MARKED | _CLONED_TOO)
                _ptrace(_INTERRUPT, task)
            self._ready.set()
            while not self._over.is_set():
                if not any(self._step(task, tasks) for task in list(tasks)):
                    time.sleep(_NAP)
        except OSError as error:
            self._error = error
            self._ready.set()

    def _step(self, task: int, tasks: set[int]) -> bool:
        """Resume the task if it has stopped, and return whether it had."""
        try:
            stopped, status = os.waitpid(task, os.WNOHANG | _WALL)
        except ChildProcessError:
            tasks.discard(task)
            return False
        if not stopped:
            return False
        if not os.WIFSTOPPED(status):
            tasks.discard(task)
            return True
        number, event = os.WSTOPSIG(status), status >> 16
        forward = 0
        if number == _TRAP | 0x80:
            self._note(task)
        elif not event:
            forward = number
        elif event != _STOP_EVENT:
            tasks |= {int(each.name) for each in Path(f"/proc/{self._pid}/task").iterdir()}
        _ptrace(_SYSCALL, task, forward)
        return True

    def _note(self, task: int) -> None:
        info = _Info()
        _libc.ptrace(_SYSCALL_INFO, task, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == _ENTRY and info.number in self._numbers:
            link = Path(f"/proc/{self._pid}/fd/{info.arguments[0]}").readlink()
            self.files[link.name] += 1

    def __repr__(self) -> str:
        return f"<Flushes of {self._pid}: {dict(self.files)}>"


def _ptrace(what: int, task: int, data: int = 0) -> None:
    if _libc.ptrace(what, task, None, data) < 0:
        number = ctypes.get_errno()
        if what == _SYSCALL and not Path(f"/proc/{task}").exists():
            return
        raise OSError(number, os.strerror(number), f"ptrace of {task}")
