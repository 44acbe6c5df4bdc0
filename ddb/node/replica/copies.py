"""One node's copies of records, as its store returns them. An unreadable one is no copy."""

from ddb.node.replica.damage import DamageBook
from ddb.node.storage.store import Family, Store, Unreadable
from ddb.record.codec import decode, peek
from ddb.record.state import DamagedState, State
from ddb.record.version import Dot
from ddb.ring.ring import Ring


class WrongCell(Exception):
    """This node is not in the key's cell: the sender has another ring."""


class Copies:
    """The home copies and hints of the node `name`."""

    def __init__(self, name: str, ring: Ring, store: Store) -> None:
        self.name = name
        self._store = store
        self._families = tuple(
            Family.RECORDS if name in cell.homes else Family.HINTS if name == cell.standby else None
            for cell in ring.cells
        )
        self.damage = DamageBook(store, self._families)

    def family(self, key: bytes) -> Family:
        """Return `RECORDS` where this node is a home of the key, `HINTS` where its standby.

        Raises:
            WrongCell: it is neither.
        """
        family = self._families[key[0] << 8 | key[1]]
        if family is None:
            raise WrongCell(f"{self.name} is not in the cell of partition {key[0] << 8 | key[1]}")
        return family

    def raw(self, key: bytes) -> bytes:
        """Return the key's encoded state, durable or not; empty where absent.

        Raises:
            Unreadable: the copy is damaged.
        """
        family = self._families[key[0] << 8 | key[1]] or self.family(key)
        if self.damage.ranges:
            self.damage.check(family, key)
        try:
            return self._store.get(family, key) or b""
        except Unreadable as unreadable:
            self.damage.note_unreadable(unreadable)
            raise

    def damaged(self, key: bytes) -> bool:
        """Whether the key lies in a damaged range, where this node has no vote."""
        damage = self.damage
        return bool(damage.ranges) and damage.covers(self.family(key), key)

    def readable(self, key: bytes) -> bytes | None:
        """Like `raw`, but None where the state is unreadable or malformed."""
        try:
            raw = self.raw(key)
            peek(raw)
        except Unreadable:
            return None
        except DamagedState:
            self.damage.note_undecodable(self.family(key), key)
            return None
        return raw

    def state(self, key: bytes) -> State:
        """Return the key's state, durable or not. Raises `Unreadable`."""
        raw = self.raw(key)
        try:
            return decode(raw)
        except DamagedState as error:
            self.damage.note_undecodable(self.family(key), key)
            raise Unreadable(self.family(key), key, str(error)) from error

    def newest(self, key: bytes) -> Dot:
        """Return the newest dot of the key's state. Raises `Unreadable`."""
        return peek(self.raw(key))

    def __repr__(self) -> str:
        return f"<Copies of {self.name}, {self.damage!r}>"
