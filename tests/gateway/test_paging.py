"""The parameters of a LIST, and the link to the next page."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.gateway.api.errors import Refused
from ddb.gateway.api.paging import Paging, next_link, parse_paging
from ddb.gateway.records import Cursor
from ddb.ring.ring import PARTITIONS

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~@:+-]{0,127}", fullmatch=True)


@given(st.integers(0, PARTITIONS - 1), ids, st.integers(1, 1000))
@settings(max_examples=80, deadline=None)
def test_link_leads_to_the_next_page(partition: int, id: str, limit: int) -> None:
    """A link parses into its own cursor and limit."""
    cursor = Cursor(partition, id)
    link = next_link("/api/users/", cursor, limit).decode()
    target, _, rel = link.partition(">; ")
    assert rel == 'rel="next"'
    path, _, query = target.removeprefix("<").partition("?")
    assert path == "/api/users/"
    assert query.isascii()
    assert parse_paging(query.encode()) == Paging(cursor, 0, limit)


@given(st.integers(0, 2**63 - 1), st.integers(1, 1000))
@settings(max_examples=80, deadline=None)
def test_offsets(offset: int, limit: int) -> None:
    """An offset and a limit within bounds are accepted unchanged."""
    query = f"limit={limit}&offset={offset}".encode()
    assert parse_paging(query) == Paging(None, offset, limit)


def test_defaults() -> None:
    """An empty query asks for the first ten records."""
    assert parse_paging(b"") == Paging(None, 0, 10)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"limit", b"offset", b"after", b"x", b"", b"%"]),
            st.binary(max_size=12) | st.integers().map(lambda number: str(number).encode()),
        ),
        max_size=4,
    ).map(lambda pairs: b"&".join(b"%b=%b" % pair for pair in pairs))
    | st.binary(max_size=20)
)
@settings(max_examples=150, deadline=None)
def test_any_query_is_accepted_or_refused(query: bytes) -> None:
    """Each query gives a page within bounds or a refusal."""
    try:
        paging = parse_paging(query)
    except Refused:
        pass
    else:
        assert 1 <= paging.limit <= 1000
        assert 0 <= paging.offset < 2**63
        assert paging.after is None or 0 <= paging.after.partition < PARTITIONS
