"""A node's page of rows for LIST."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.node import scan as scanning
from ddb.node.node import Node
from ddb.node.scan import StoredRow, first_rows, fits
from ddb.node.storage.store import Family
from ddb.record.codec import HEAD, encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import END, PARTITIONS, key_of, partition_in
from ddb.wire.messages import Message, Scan, ScanPage
from tests.fakes.node import NAMES, RING, voting
from tests.loop import run

ME = NAMES[0]
KEYS = sorted(key for key in map(key_of, map(str, range(400))) if ME in RING.cell(key).nodes)
FAMILIES = [Family.RECORDS if ME in RING.cell(key).homes else Family.HINTS for key in KEYS]
BODY = b"{}"
WHOLE = st.builds(
    lambda live, size: encode(State((Dot(1, 1),), live, b"1" * size)),
    st.booleans(),
    st.integers(0, 40),
)
MALFORMED = st.binary(max_size=HEAD.stop - 1)


async def page(node: Node, request: Scan) -> ScanPage:
    """Return the node's reply."""
    handling = node.handle(request, 1e12)
    reply = handling if isinstance(handling, Message) else await handling
    assert isinstance(reply, ScanPage)
    return reply


def stored(key: bytes, *, live: bool = True) -> bytes:
    """Return an encoded state with a dot that only this key has."""
    return encode(State((Dot(1 + KEYS.index(key), 1),), live, BODY if live else b""))


@pytest.mark.parametrize("limit", [1, 7, len(KEYS) - 1, len(KEYS), len(KEYS) + 1])
@pytest.mark.parametrize("without", [(), NAMES[1:2], NAMES[1:3], (ME,)], ids=len)
@pytest.mark.parametrize("page_bytes", [2**20, 200], ids=["large", "small"])
@pytest.mark.parametrize("damaged", [b"", KEYS[3]], ids=["whole", "damaged"])
def test_page_has_home_copies_and_hints_in_order(
    tmp_path: Path,
    limit: int,
    without: tuple[str, ...],
    page_bytes: int,
    damaged: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page has copies of both kinds in key order, and bodies where the node is to send them."""
    monkeypatch.setattr(scanning, "MAX_PAGE_BODY_BYTES", page_bytes)
    dead = KEYS[5]
    rows = {key: stored(key, live=key != dead) for key in KEYS}
    if damaged:
        rows[damaged] = b"\x11\x01"
    sends = {
        key
        for key in KEYS
        if key != dead and next(n for n in RING.cell(key).nodes if n not in without) == ME
    }
    expected: list[bytes] = []
    size = 0
    for key in KEYS:
        if len(expected) == limit or size >= page_bytes:
            break
        if key != damaged:
            expected.append(key)
            size += len(key) + len(BODY) * (key in sends)

    async def scenario() -> None:
        async with voting(tmp_path) as (node, store):
            await store.commit(list(zip(FAMILIES, rows, rows.values(), strict=True)))
            found = await page(node, Scan(b"", END, limit, without))
            assert found.keys == expected
            assert found.heads == [rows[key][HEAD] for key in expected]
            assert found.bodies == [BODY if key in sends else b"" for key in expected]
            assert len(found.decided) == len(expected)
            present = len(KEYS) - bool(damaged)
            assert found.more == (len(expected) < present or len(expected) == limit)
            if damaged and len(expected) > KEYS.index(damaged):
                assert found.damaged == (partition_in(damaged),)
            await asyncio.sleep(0)

    run(scenario())


def test_rows_that_fit_are_all_rows_of_the_page(tmp_path: Path) -> None:
    """The quick check accepts rows only where a check of each row would accept all of them."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            copies = node.replica.copies

            @settings(deadline=None)
            @given(
                st.lists(WHOLE, max_size=12) | st.lists(WHOLE | MALFORMED, max_size=12),
                st.integers(1, 12),
                st.integers(1, 300),
                st.booleans(),
            )
            def agree(raws: list[bytes], limit: int, page_bytes: int, sends: bool) -> None:
                rows: list[StoredRow] = list(zip(KEYS, raws, strict=False))
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(scanning, "MAX_PAGE_BODY_BYTES", page_bytes)
                    if fits(rows, limit):
                        sends_body = [sends] * PARTITIONS
                        assert first_rows(rows, limit, sends_body, copies) == (rows, False)

            agree()
            assert fits([(key, stored(key)) for key in KEYS], len(KEYS))
            await asyncio.sleep(0)

    run(scenario())
