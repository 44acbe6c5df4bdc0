"""The operations on users: from a checked request to a response.

Everything here speaks in ids, documents and tags. `ddb.gateway.api.user_requests` takes them from
HTTP's methods and headers; `Records` stores the records.
"""

import hashlib
import uuid
from collections.abc import Callable

import msgspec

from ddb.gateway.api.errors import Detail, Error, Refused, invalid
from ddb.gateway.api.etags import etag, fulfilled, not_modified
from ddb.gateway.api.json_body import Document, parse
from ddb.gateway.api.paging import next_link, parse_paging
from ddb.gateway.api.paths import USERS
from ddb.gateway.api.response import JSON, NO_STORE, REVALIDATE, Response, plain
from ddb.gateway.api.schema import Schema
from ddb.gateway.records import Records
from ddb.record.change import Change, Kind, Outcome

_DELETED = Response(204, b"", [])
_MATCH_ON_POST = (
    "If-Match demands a user that exists, and POST makes one that does not; nothing was made."
    " Use PUT to change a user, or POST without If-Match"
)


class Users:
    """What can be done with users."""

    def __init__(self, records: Records, schema: Schema, mint: Callable[[], str]) -> None:
        """`mint` makes an id for a user that comes without one."""
        self._records = records
        self._schema = schema
        self._mint = mint

    async def read(self, id: str, match: tuple[bytes, ...], none_match: bytes | None) -> Response:
        """GET of one user. Raises `Refused` (404) and `Unavailable`, as all of these."""
        body = await self._records.read(id)
        if body is None:
            raise _absent()
        if match and not fulfilled(match, body):
            raise _mismatch()
        tag = etag(body)
        if none_match is not None and not_modified(none_match, tag):
            return Response(304, b"", [(b"etag", tag), REVALIDATE])
        return Response(200, body, [JSON, (b"etag", tag), REVALIDATE])

    async def create(self, sent: bytes, match: tuple[bytes, ...], key: str | None) -> Response:
        """POST: a whole user; without an id it is given one.

        A condition of `match` demands a record that is there, and POST one that is not: none holds.
        """
        document = parse(sent)
        if "id" not in document:
            document["id"] = self._mint() if key is None else _id_for(key)
        body = self._schema.whole(document)
        if match:
            raise Refused(Error.MISMATCH, _MATCH_ON_POST)
        named = str(document["id"])
        answer = await self._records.change(named, Change(Kind.CREATE, body), key=key)
        if answer.outcome is Outcome.EXISTS:
            raise Refused(Error.EXISTS, "User already exists")
        present = _present(answer.outcome, answer.body)
        location = (b"location", f"{USERS}/{named}".encode())
        return Response(201, present, [JSON, (b"etag", etag(present)), REVALIDATE, location])

    async def update(
        self, id: str | None, sent: bytes, match: tuple[bytes, ...], key: str | None
    ) -> Response:
        """PUT and PATCH: some fields of a user, named by the path or else by the document."""
        document = parse(sent)
        self._schema.partial(document)
        named = _one_id(id, document)
        if not self._schema.is_id(named):
            raise invalid("id", "no user can have this id")
        fields = msgspec.json.encode({name: document[name] for name in document if name != "id"})
        answer = await self._records.change(named, Change(Kind.UPDATE, fields, match), key=key)
        present = _present(answer.outcome, answer.body)
        return Response(200, present, [JSON, (b"etag", etag(present)), REVALIDATE])

    async def delete(self, id: str, match: tuple[bytes, ...], key: str | None) -> Response:
        """DELETE of one user."""
        if not self._schema.is_id(id):
            # A refusal is remembered with its record: none must come to be that never can live.
            raise _absent()
        answer = await self._records.change(id, Change(Kind.DELETE, b"", match), key=key)
        if answer.outcome is not Outcome.DONE:
            _present(answer.outcome, answer.body)
        return _DELETED

    async def count(self) -> Response:
        """How many users there are."""
        return plain(200, {"count": await self._records.count()})

    async def page(self, query: bytes) -> Response:
        """Some users, in an order that stays the same."""
        asked = parse_paging(query)
        page = await self._records.page(after=asked.after, offset=asked.offset, limit=asked.limit)
        headers = [JSON, NO_STORE]
        if page.next is not None:
            headers.append((b"link", next_link(f"{USERS}/", page.next, asked.limit)))
        return Response(200, b"[%b]" % b",".join(page.bodies), headers)

    def __repr__(self) -> str:
        return f"<Users {self._schema!r}>"


def _absent() -> Refused:
    return Refused(Error.NOT_FOUND, "User not found")


def _mismatch() -> Refused:
    return Refused(Error.MISMATCH, "The user is not as If-Match says; nothing was changed")


def _present(outcome: Outcome, body: bytes | None) -> bytes:
    """The record after a change that was done; every refusal is raised."""
    if outcome is Outcome.DONE and body is not None:
        return body
    if outcome is Outcome.MISMATCH:
        raise _mismatch()
    if outcome is Outcome.REUSED:
        raise invalid("Idempotency-Key", "this key was used for a different request on this user")
    raise _absent()


def _one_id(path: str | None, document: Document) -> str:
    named = document.get("id")
    if path is None:
        if named is None:
            raise Refused(
                Error.INVALID,
                "id: this field is missing",
                details=(Detail("id", "this field is missing"),),
            )
        return str(named)
    if named is not None and named != path:
        raise invalid("id", "the path names one user and the body another")
    return path


def _id_for(key: str) -> str:
    """The same id for the same key, so that a request sent again meets its first record."""
    digest = hashlib.blake2b(key.encode(), digest_size=16, person=b"user id").digest()
    return str(uuid.UUID(bytes=digest, version=4))
