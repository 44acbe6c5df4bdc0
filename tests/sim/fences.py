"""Fences: a simulated call to real time, randomness, threads or sockets is an error."""

import gc
import logging
import os
import random
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


class Fenced(BaseException):
    """Simulated code called real time, randomness, threads or sockets."""


_FENCED: tuple[tuple[object, tuple[str, ...]], ...] = (
    (
        time,
        ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "clock_gettime", "sleep"),
    ),
    (
        random,
        ("random", "randrange", "randint", "choice", "shuffle", "uniform", "getrandbits", "sample"),
    ),
    (uuid, ("uuid1", "uuid4")),
    (os, ("urandom",)),
    (secrets, ("token_bytes", "token_hex", "randbelow")),
    (socket, ("socket", "create_connection")),
    (threading.Thread, ("start",)),
)


def _fence(name: str) -> Callable[..., NoReturn]:
    def fenced(*_: object, **__: object) -> NoReturn:
        raise Fenced(f"simulated code called {name}")

    return fenced


@contextmanager
def fenced() -> Iterator[None]:
    """Raise `Fenced` on any such call inside the context; disable the collector and logs."""
    before: list[tuple[object, str, object]] = []
    collecting, logs = gc.isenabled(), logging.root.manager.disable
    gc.disable()
    logging.disable(logging.CRITICAL)
    for where, names in _FENCED:
        for name in names:
            before.append((where, name, getattr(where, name)))
            setattr(where, name, _fence(name))
    try:
        yield
    finally:
        for where, name, value in before:
            setattr(where, name, value)
        logging.disable(logs)
        if collecting:
            gc.enable()
