"""Entity tags and the headers that compare them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.gateway.api.errors import Refused
from ddb.gateway.api.etags import etag, fulfilled, not_modified, required_tags
from ddb.record.change import ANY

bodies = st.binary(min_size=1, max_size=40)
opaque = st.text("!#$%&'()*+,-./:;<=>?@[]^_`{|}~abc019\u0080ÿ", max_size=17)
foreign = st.builds(lambda text, weak: f'{weak}"{text}"', opaque, st.sampled_from(["", "W/"]))
commas = st.sampled_from([",", ", ", " ,\t", ",,", " , ,, "])


@st.composite
def lists(draw: st.DrawFn, *own: str) -> bytes:
    """Draw a header value with these tags among others."""
    tags = draw(
        st.permutations([*own, *draw(st.lists(foreign, min_size=0 if own else 1, max_size=4))])
    )
    text = draw(st.sampled_from(["", " ", ", "])) + tags[0]
    for tag in tags[1:]:
        text += draw(commas) + tag
    return (text + draw(st.sampled_from(["", "\t", ", "]))).encode("latin-1")


@given(st.data(), bodies, bodies)
@settings(max_examples=80, deadline=None)
def test_a_tag_is_found_in_any_list(data: st.DataObject, body: bytes, other: bytes) -> None:
    """A record's tag matches at any position of a list; another record's tag does not."""
    header = data.draw(lists(etag(body).decode()))
    assert fulfilled(required_tags(header), body)
    assert not_modified(header, etag(body))
    if etag(other) not in header:
        assert not fulfilled(required_tags(header), other)
        assert not not_modified(header, etag(other))


@given(st.data(), bodies)
@settings(max_examples=80, deadline=None)
def test_weak_tags(data: st.DataObject, body: bytes) -> None:
    """A weak tag of the record matches for If-None-Match and never for If-Match."""
    header = data.draw(lists(f"W/{etag(body).decode()}"))
    assert not_modified(header, etag(body))
    if header.count(etag(body)) == 1:
        assert not fulfilled(required_tags(header), body)


@given(st.data(), bodies)
@settings(max_examples=80, deadline=None)
def test_foreign_tags_are_a_condition_too(data: st.DataObject, body: bytes) -> None:
    """An If-Match with foreign tags alone is a condition that fails."""
    header = data.draw(lists())
    required = required_tags(header)
    assert required
    assert required != (ANY,)
    assert not fulfilled(required, body) or etag(body) in header


@given(st.text('"W/*, \tab\\', max_size=12).map(str.encode))
@settings(max_examples=80, deadline=None)
def test_malformed_headers_are_refused_by_both(header: bytes) -> None:
    """Both headers refuse the same malformed values."""

    def refused(check: object) -> bool:
        try:
            if check is required_tags:
                required_tags(header)
            else:
                not_modified(header, b'"x"')
        except Refused:
            return True
        return False

    assert refused(required_tags) == refused(not_modified)


@pytest.mark.parametrize("header", [b"*", b" * ", b"\t*"])
def test_star(header: bytes) -> None:
    """A star matches any record."""
    assert required_tags(header) == (ANY,)
    assert fulfilled((ANY,), b"{}")
    assert not_modified(header, b'"x"')


def test_long_headers_take_no_time() -> None:
    """A long malformed header is refused in linear time."""
    for header in (b'"a",' * 20_000 + b'"', b" " * 60_000 + b"x", b",\t" * 30_000 + b"W"):
        with pytest.raises(Refused):
            required_tags(header)
