"""The user's schema: two libraries read one file and never disagree."""

import json
from collections.abc import Callable
from importlib import resources

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ddb.gateway.api.errors import Refused
from ddb.gateway.api.json_body import Document
from ddb.gateway.api.schema import Schema, load

USERS = load("user")
ADA: Document = {"id": "ada", "name": "Ada", "email": "ada@example.com", "group": 1}

# Characters that two regular expression engines or length rules may treat differently.
TRICKY = "\n\r\t\0 \u0085\u00a0\u2028\u2029\u200b\ufeff\u212a\u017fé٣²ａ😀e\u0301/.@-+~:_%*\\^$'\""
PLAIN = "abzAZ019count"

characters = st.sampled_from(TRICKY + PLAIN) | st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=12)
long_texts = st.builds(
    lambda text, times: text * times,
    st.text(characters, min_size=1, max_size=3),
    st.integers(1, 130),
)


@st.composite
def nearly(draw: st.DrawFn, good: st.SearchStrategy[str]) -> str:
    """Draw a valid text with a few characters added, removed or changed."""
    text = draw(good)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at] + draw(st.text(characters, max_size=2)) + text[at + draw(st.integers(0, 1)) :]
        )
    return text


ids = nearly(
    st.sampled_from(["a", "count", "counts", "ada@example.com", "x" * 127, "x" * 128, "0.~:+-_"])
)
emails = nearly(
    st.sampled_from(
        [
            "a@b.co",
            "ada.lovelace+x@sub.example.com",
            f"{'x' * 64}@{'d' * 63}.com",
            f"{'x' * 63}@{'d' * 63}.{'e' * 63}.{'f' * 57}.com",
            "o'brien@a-b.museum",
        ]
    )
)
numbers = (
    st.integers()
    | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**40, -(10**40)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70).map(float)
    | st.booleans()
)
values = st.recursive(
    st.none() | numbers | texts | long_texts | ids | emails,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["id", "name", "email", "group"])
documents = st.fixed_dictionaries(
    {},
    optional={
        "id": ids | values,
        "name": texts | long_texts | values,
        "email": emails | values,
        "group": numbers | values,
    },
) | st.dictionaries(fields | texts, values, max_size=5)


@given(documents)
@settings(max_examples=250, deadline=None)
@example(ADA)
@example(ADA | {"id": "count"})
@example(ADA | {"id": "count\n"})
@example(ADA | {"id": "a\n"})
@example(ADA | {"group": True})
@example(ADA | {"group": 1.0})
@example(ADA | {"group": -0.0})
@example(ADA | {"group": 1e19})
@example(ADA | {"name": "😀" * 256})
@example(ADA | {"name": "😀" * 257})
@example(ADA | {"email": "a@b.co\n"})
@example(ADA | {"email": "a..b@b.co"})
@example(ADA | {"email": "a\n..b@b.co"})
def test_deciding_and_explaining_validators_agree(document: Document) -> None:
    """The deciding validator accepts exactly the documents without an explained error."""
    for decide, explain in (
        (USERS._whole, USERS._explain_whole),
        (USERS._partial, USERS._explain_partial),
    ):
        assert decide.is_valid(document) == (not list(explain.iter_errors(document)))


def refusal(check: Callable[[Document], object], document: Document) -> Refused | None:
    try:
        check(document)
    except Refused as refused:
        return refused
    return None


@given(documents)
@settings(max_examples=120, deadline=None)
def test_every_refusal_is_explained(document: Document) -> None:
    """A refusal has one detail per faulty field, and names no other field."""
    for refused in filter(None, map(refusal, (USERS.whole, USERS.partial), (document,) * 2)):
        details = refused.details
        assert details
        assert all(detail.message for detail in details)
        assert len({detail.field for detail in details}) == len(details)
        shown = {f"{name[:60]}..." if len(name) > 60 else name for name in document}
        assert {detail.field for detail in details} <= shown | {"id", "name", "email", "group"}
        assert json.loads(refused.body())["name"] == "InvalidRequestError"


@given(
    st.fixed_dictionaries(
        {
            "id": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~@:+-]{0,127}", fullmatch=True).filter(
                lambda text: text != "count"
            ),
            "name": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256),
            "email": st.just("ada@example.com"),
            "group": st.integers(-(2**63), 2**63 - 1),
        }
    ).flatmap(lambda user: st.permutations(list(user.items())).map(dict))
)
@settings(max_examples=80, deadline=None)
def test_every_valid_user_is_stored_as_it_is(document: Document) -> None:
    """A valid user is stored with its fields in the schema's order."""
    stored = json.loads(USERS.whole(document))
    assert stored == document
    assert list(stored) == ["id", "name", "email", "group"]


@given(st.text(characters, max_size=130))
@settings(max_examples=80, deadline=None)
def test_an_id_in_a_path_is_an_id_in_a_body(text: str) -> None:
    """A path and a body accept the same ids."""
    try:
        USERS.whole(ADA | {"id": text})
    except Refused:
        assert not USERS.is_id(text)
    else:
        assert USERS.is_id(text)


def test_the_file_is_a_schema_that_others_can_read() -> None:
    """The file is a JSON Schema that describes each field."""
    text = resources.files("ddb.gateway.api").joinpath("user.schema.json").read_text("utf-8")
    definition = json.loads(text)
    assert definition == USERS.definition
    USERS._explain_whole.check_schema(definition)
    assert all(each["description"] for each in definition["properties"].values())
    assert definition["additionalProperties"] is False


@pytest.mark.parametrize("depth", [10, 300, 900, 990, 1000, 1010, 1100, 5000])
def test_deep_documents_are_refused(depth: int) -> None:
    """A document that is nested too deeply gets a refusal with details."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    with pytest.raises(Refused) as caught:
        USERS.whole({"id": value})
    assert caught.value.details


BOTH_CHECK = ["email", "ipv4", "ipv6"]
"""Formats that both libraries check without further packages."""
ONE_CHECKS = ["date-time", "uri", "hostname"]
"""Formats that `jsonschema` checks with further packages only."""
samples = st.sampled_from(
    [
        "",
        "x",
        "a@b.co",
        "1.2.3.4",
        "1.2.3",
        "::1",
        "::g",
        "2026-11-30T10:00:00Z",
        "http://a/b",
        "a b",
    ]
)


def fields_with(formats: list[str]) -> st.SearchStrategy[dict[str, object]]:
    """Draw the schema of one field."""
    limits = st.integers(0, 5)
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={
                "minLength": limits,
                "maxLength": limits,
                "pattern": st.sampled_from(["^a", "[0-9]$", "^[A-Za-z0-9@.]*$"]),
                "format": st.sampled_from(formats),
                "enum": st.lists(samples, min_size=1, max_size=3, unique=True),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])},
            optional={"minimum": st.integers(-9, 9), "maximum": st.integers(-9, 9)},
        ),
        st.just({"type": "boolean"}),
    )


def schemas(formats: list[str]) -> st.SearchStrategy[Schema]:
    """Draw the schema of a flat record."""
    names = ["id", "a", "b", "c"]
    return st.builds(
        lambda fields, required: Schema(
            {
                "type": "object",
                "properties": fields,
                "additionalProperties": False,
                **({"required": required} if required else {}),
            }
        ),
        st.dictionaries(st.sampled_from(names), fields_with(formats), min_size=1),
        st.lists(st.sampled_from(names), unique=True),
    )


loose = st.dictionaries(
    st.sampled_from(["id", "a", "b", "c", "d"]),
    samples | st.integers(-12, 12) | st.sampled_from([1.0, 1.5, 1e300]) | st.booleans() | st.none(),
)


@given(schemas(BOTH_CHECK), loose)
@settings(max_examples=300, deadline=None)
def test_both_libraries_agree_on_any_schema(schema: Schema, document: Document) -> None:
    """Both libraries accept the same documents under any schema."""
    assert schema._whole.is_valid(document) == schema._explain_whole.is_valid(document)
    assert schema._partial.is_valid(document) == schema._explain_partial.is_valid(document)


@given(schemas(BOTH_CHECK), samples | st.text(PLAIN, max_size=12))
@example(Schema({"properties": {"id": {"type": "string", "pattern": "^a"}}}), "b")
@example(Schema({"properties": {"id": {"type": "integer", "pattern": "^[a-z]*$"}}}), "a")
@example(Schema({"properties": {"id": {"pattern": "^a"}}}), "a")
@settings(max_examples=300, deadline=None)
def test_id_alone_has_the_limits_of_its_field(schema: Schema, text: str) -> None:
    """Under any schema, an id alone is valid exactly where a document with this id is."""
    assert schema.is_id(text) == schema._partial.is_valid({"id": text})


@given(schemas(BOTH_CHECK + ONE_CHECKS), loose)
@settings(max_examples=300, deadline=None)
def test_no_refusal_is_without_details(schema: Schema, document: Document) -> None:
    """Each refusal has details, under any schema and format."""
    for check in (schema.whole, schema.partial):
        refused = refusal(check, document)
        if refused is not None:
            assert refused.details
            assert refused.message
            assert all(detail.message for detail in refused.details)
            assert len({detail.field for detail in refused.details}) == len(refused.details)


@pytest.mark.parametrize("format", [*BOTH_CHECK, *ONE_CHECKS])
def test_formats_are_checked(format: str) -> None:
    """A value of another format is refused, and the refusal names the field."""
    field = {"type": "string", "format": format, "description": f"a value of format {format}"}
    schema = Schema({"type": "object", "properties": {"id": {"type": "string"}, "x": field}})
    refused = refusal(schema.partial, {"x": "no such thing !"})
    assert refused is not None
    assert [detail.field for detail in refused.details] == ["x"]
    assert f"it takes a value of format {format}" in refused.details[0].message
