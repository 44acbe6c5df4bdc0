import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from bench.paced import Pacer, Second

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WIRE = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def paced(answering: Answering, rate: float, seconds: float) -> tuple[Second, float]:
    """Run a pacer against a server.

    Return the figures of all seconds together, and the seconds for which it sent.
    """

    async def run() -> tuple[Second, float]:
        server = await asyncio.start_server(answering, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        pacer, stop = Pacer(f"{host}:{port}", [WIRE], rate), asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)
        await pacer.run(stop)
        server.close()
        whole = Second(0)
        for second in pacer.seconds:
            whole.latencies += second.latencies
            whole.refused += second.refused
            whole.broken += second.broken
        return whole, pacer.now()

    return uvloop.run(run())


def answers(
    status: bytes = b"200 OK", stall: float = 0.0, cut: int = 0
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a handler that sends each answer in two parts.

    Args:
        status: The status line of each answer, without the version.
        stall: Seconds by which the 20th answer is late.
        cut: Every `cut`-th request closes the connection instead; 0: none does.
    """
    served = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                served += 1
                if cut and served % cut == 0:
                    break
                if served == 20:
                    await asyncio.sleep(stall)
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: 4\r\n\r\nab" % status)
                await asyncio.sleep(0)
                writer.write(b"cd")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()

    return answer


def test_the_rate_is_steady() -> None:
    """The pacer sends every due request, also while an answer is late."""
    seen, took = paced(answers(stall=0.2), rate=300, seconds=1.2)
    assert 300 * 1.15 <= len(seen.latencies) <= 300 * took + 1
    assert (seen.refused, seen.broken) == (0, 0)


def test_refusals_are_counted_apart() -> None:
    """An answer of 400 or more counts as a refusal and adds no latency."""
    seen, took = paced(answers(b"503 Busy"), rate=100, seconds=0.5)
    assert 45 <= seen.refused <= 100 * took + 1
    assert seen.latencies == []


def test_a_cut_connection_is_one_broken_request() -> None:
    """A closed connection breaks only the request on it, and a new connection replaces it."""
    seen, _ = paced(answers(cut=10), rate=200, seconds=0.5)
    total = seen.broken + len(seen.latencies)
    assert total >= 90
    assert seen.broken == pytest.approx(total / 10, abs=3)


def test_a_late_answer_delays_no_other_request() -> None:
    """One late answer has its whole latency, and the others keep theirs."""
    seen, _ = paced(answers(stall=0.5), rate=200, seconds=0.8)
    # The pacer checks for due requests every millisecond, so a latency may be a little short.
    assert seen.slowest >= 0.49
    assert seen.percentile(0.8) < 0.1


def test_percentiles_are_latencies() -> None:
    """A percentile is one of the latencies, or 0 if there are none."""
    second = Second(0, latencies=[0.001 * number for number in range(100, 0, -1)])
    assert second.percentile(0.5) == pytest.approx(0.051)
    assert second.percentile(0.99) == pytest.approx(0.1)
    assert second.percentile(1.0) == second.slowest == pytest.approx(0.1)
    assert Second(0).percentile(0.99) == Second(0).slowest == 0.0
