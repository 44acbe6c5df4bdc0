"""A client that repeats a write until its outcome is certain.

Run it with `python3 examples/retry.py [URL]`. It needs the standard library only.

A 503 with `"applied": "unknown"`, a timeout and a lost connection leave a write in doubt. The
client repeats it under the same `Idempotency-Key`. ddb applies it once and gives each repeat the
first answer.
"""

import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

REQUEST_TIMEOUT_S = 2.0
"""ddb answers within 0.25 s. Lower: needless repeats. Higher: a longer wait for a dead gateway."""
RETRY_DEADLINE_S = 60.0
"""Below the ten minutes for which ddb remembers a key. A repeat after those would act again."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


class Refused(Exception):
    """ddb decided against the request; a repeat gives the same answer."""


class InDoubt(Exception):
    """No answer within `RETRY_DEADLINE_S`; the write may or may not have been made."""


class Users:
    """The users of one gateway. Any number of clients may use one gateway, or several."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/users/"
        self.repeats = 0

    def create(self, user: dict[str, object]) -> dict[str, Any]:
        """Create a user. Raises `Refused` if the id exists."""
        return self._write("POST", "", user)

    def update(self, id: str, **fields: object) -> dict[str, Any]:
        """Replace some fields of a user and return the whole user."""
        return self._write("PATCH", id, fields)

    def delete(self, id: str) -> None:
        """Delete a user."""
        self._write("DELETE", id, None)

    def read(self, id: str) -> dict[str, Any]:
        """Read a user. A read may be repeated without a key."""
        return self._until_decided("GET", id, None, {})

    def _write(self, method: str, id: str, document: object) -> dict[str, Any]:
        # One key per intention, not per attempt: this is what makes a repeat safe.
        return self._until_decided(method, id, document, {"Idempotency-Key": str(uuid.uuid4())})

    def _until_decided(
        self, method: str, id: str, document: object, headers: dict[str, str]
    ) -> dict[str, Any]:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self._url + id, body, headers, method=method)
        deadline = time.monotonic() + RETRY_DEADLINE_S
        pause = FIRST_PAUSE_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
                    record: dict[str, Any] = json.loads(answer.read() or b"{}")
                    return record
            except urllib.error.HTTPError as error:
                answered = json.loads(error.read() or b"{}")
                if error.code < 500:
                    raise Refused(f"{error.code} {answered.get('message')}") from None
                reason = f"{error.code} applied={answered.get('applied')}"
            except OSError as error:
                # No connection, or no answer: the request may have arrived all the same.
                reason = str(error)
            if time.monotonic() + pause > deadline:
                raise InDoubt(f"{method} {id}: {reason}")
            self.repeats += 1
            # A random pause: clients that were refused together do not return together.
            time.sleep(random.uniform(0.5, 1.0) * pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


def main() -> int:
    """Count to fifty in one user's `group`, and check that each step took effect once."""
    default = os.environ.get("DDB_URL", "http://localhost:8080")
    users = Users(sys.argv[1] if len(sys.argv) > 1 else default)
    user_id = f"counter-{uuid.uuid4()}"
    users.create({"id": user_id, "name": "A counter", "email": "counter@example.com", "group": 0})
    for number in range(1, 51):
        updated = users.update(user_id, group=number)
        if updated["group"] != number:
            print(f"step {number} answered {updated}")
            return 1
        time.sleep(0.05)
    final = users.read(user_id)["group"]
    users.delete(user_id)
    try:
        users.read(user_id)
    except Refused as refused:
        print(f"counted to {final}, deleted ({refused}), {users.repeats} repeats")
        return 0 if final == 50 else 1
    print("the deleted user is still there")
    return 1


if __name__ == "__main__":
    sys.exit(main())
