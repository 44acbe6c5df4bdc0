"""Requests as bytes, and answers from a stream of bytes."""

from typing import BinaryIO

from tests.http.answer import Answer, without_date


def request(method: str, path: str, body: bytes = b"", extra: str = "") -> bytes:
    """Return the bytes of a request. `extra`: header lines, each with its line end."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}{length}\r\n".encode() + body


def read_answer(stream: BinaryIO, method: str = "GET") -> Answer:
    """Read the next answer of a stream. The answer to a HEAD has no body."""
    line = stream.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    status = int(line.split()[1])
    headers: list[tuple[str, str]] = []
    while (line := stream.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    answer = Answer(status, without_date(headers) if status >= 200 else headers, b"")
    if method == "HEAD" or status in (204, 304) or status < 200:
        return answer
    length = answer.header("content-length")
    assert length is not None
    return Answer(status, answer.headers, stream.read(int(length)))
