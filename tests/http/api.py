"""A client that creates users with unique ids, and deletes them when its test ends.

The API tests run against a new cluster, or against the running system that `DDB_URL` names. Other
clients may use that system.
"""

import secrets

from tests.http.answer import User
from tests.http.client import Client


class Api(Client):
    """The API of one gateway, for one test."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._created: list[str] = []
        """The ids of the users to delete when the test ends."""

    def fresh(self) -> str:
        """Return an unused id. `clean_up` deletes its user."""
        unused = f"test-{secrets.token_hex(12)}"
        self._created.append(unused)
        return unused

    def delete_later(self, id: str) -> None:
        """Let `clean_up` delete this user."""
        self._created.append(id)

    def make(self, **fields: object) -> User:
        """Create a user in the system, and return it."""
        user = self.valid(**fields)
        answer = self.call("POST", "/api/users/", user, {"Idempotency-Key": secrets.token_hex()})
        assert answer.status == 201, answer.body
        return user

    def valid(self, **fields: object) -> User:
        """Return a valid user that the system does not store yet."""
        chosen = fields.pop("id", None) or self.fresh()
        return {
            "id": chosen,
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "group": 1,
        } | fields

    def clean_up(self) -> None:
        """Delete the users of the test, and close the connection."""
        try:
            for user_id in self._created:
                self.call(
                    "DELETE", f"/api/users/{user_id}", headers={"Idempotency-Key": "clean up"}
                )
        finally:
            self.close()
