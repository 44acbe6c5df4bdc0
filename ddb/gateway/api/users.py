"""The operations on users.

Their arguments are ids, documents and tags. `user_requests` extracts these from HTTP methods and
headers. `Records` stores the records.
"""

import hashlib
import uuid
from collections.abc import Callable

import msgspec

from ddb.gateway.api.errors import Error, Refused, invalid
from ddb.gateway.api.etags import etag, fulfilled, not_modified
from ddb.gateway.api.json_body import Document, parse
from ddb.gateway.api.paging import next_link, parse_paging
from ddb.gateway.api.paths import USERS
from ddb.gateway.api.response import JSON, NO_STORE, REVALIDATE, Response, plain
from ddb.gateway.api.schema import Schema
from ddb.gateway.records import Records
from ddb.record.change import Change, Kind, Outcome

_NOT_MATCHED = (
    "The user does not match If-Match; nothing was changed; read the user, and send its ETag"
)
_DELETED = Response(204, b"", [])
_MATCH_ON_POST = (
    "If-Match requires a user that exists, and POST makes a new one; nothing was changed."
    " Change a user with PUT, or send POST without If-Match"
)


class Users:
    """Does the operations on users.

    Each `async` method raises `Refused` and `Unavailable`.
    """

    def __init__(self, records: Records, schema: Schema, mint: Callable[[], str]) -> None:
        """`mint` makes an id for a user that a client sends without one."""
        self._records = records
        self._schema = schema
        self._mint = mint

    async def read(self, id: str, match: tuple[bytes, ...], none_match: bytes | None) -> Response:
        """Read one user: GET.

        Args:
            match: the tags of If-Match; empty: no such condition.
            none_match: the value of If-None-Match; None: no such condition.
        """
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
        """Create a whole user: POST. A user without an id gets one.

        `match`: the tags of If-Match. They require a record that exists, so POST never meets them.
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
        """Change some fields of a user: PUT and PATCH.

        `id`: from the path; None: the document has the id.
        """
        document = parse(sent)
        self._schema.partial(document)
        named = _one_id(id, document)
        if not self._schema.is_id(named):
            raise invalid("id", self._schema.fault("id", named))
        document.pop("id", None)
        fields = msgspec.json.encode(document)
        answer = await self._records.change(named, Change(Kind.UPDATE, fields, match), key=key)
        present = _present(answer.outcome, answer.body)
        return Response(200, present, [JSON, (b"etag", etag(present)), REVALIDATE])

    async def delete(self, id: str, match: tuple[bytes, ...], key: str | None) -> Response:
        """Delete one user: DELETE."""
        if not self._schema.is_id(id):
            # A record remembers its refused operations. An invalid id must not create a record.
            raise _absent()
        answer = await self._records.change(id, Change(Kind.DELETE, b"", match), key=key)
        if answer.outcome is not Outcome.DONE:
            _present(answer.outcome, answer.body)
        return _DELETED

    async def count(self) -> Response:
        """Count the users: COUNT."""
        return plain(200, {"count": await self._records.count()})

    async def page(self, query: bytes) -> Response:
        """List some users, in a stable order: LIST. `query`: the query string."""
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
    return Refused(
        Error.MISMATCH,
        _NOT_MATCHED,
    )


def _present(outcome: Outcome, body: bytes | None) -> bytes:
    """Return the record after a change. Raises `Refused` if the change was not made."""
    if outcome is Outcome.DONE and body is not None:
        return body
    if outcome is Outcome.MISMATCH:
        raise _mismatch()
    if outcome is Outcome.REUSED:
        raise invalid(
            "Idempotency-Key",
            "an earlier request with this key differs from this one; use a new key",
        )
    raise _absent()


def _one_id(path: str | None, document: Document) -> str:
    named = document.get("id")
    if path is None:
        if named is None:
            raise invalid(
                "id", f"this field is missing; send it here or in the path {USERS}/{{id}}"
            )
        return str(named)
    if named is not None and named != path:
        raise invalid("id", "the id in the path and the id in the body differ")
    return path


def _id_for(key: str) -> str:
    """Derive an id from a key, so that a repeated request finds its first record."""
    digest = hashlib.blake2b(key.encode(), digest_size=16, person=b"user id").digest()
    return str(uuid.UUID(bytes=digest, version=4))
