"""Range rebuild: a node vouches for a damaged range again once it has its peers' rows."""

from collections.abc import Mapping

from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.damage import DAMAGE, Range
from ddb.node.replica.partition_digests import computed, partition_rows
from ddb.node.storage.store import Family, Put, Store, written


async def rebuild_range(
    acceptor: Acceptor, store: Store, number: int, healed: Range, rows: Mapping[bytes, bytes]
) -> bool:
    """Store the rows of a damaged range and vouch for it again.

    The caller has removed the damaged blocks from the store. Returns True once the range is durable
    and healthy. Returns False where reads found more damage meanwhile; the caller tries again.

    Args:
        acceptor: the copies that have the damage.
        store: the store under `acceptor`.
        number: the partition of the range.
        healed: the range.
        rows: the encoded states that the peers have in the range, by key.

    Raises:
        StoreFailed: the disk refused a write.
    """
    damage, family = acceptor.copies.damage, acceptor.copies.family(healed.start)
    found = damage.found_ranges
    await written(store.commit([(family, at, raw) for at, raw in rows.items()]))
    # No await from here until the digests or the hints in memory match the rows.
    stored = damage.states(family, partition_rows(damage, family, number))
    restored = [*stored, *rows.items()]
    if damage.found_ranges != found:
        return False
    puts: list[Put] = [(Family.META, DAMAGE, damage.without(family, healed))]
    if family is Family.RECORDS:
        digest = computed(number, restored)
        puts.append(digest)
        acceptor.digests.apply(digest)
    else:
        acceptor.hints.forget(number)
        for at, raw in restored:
            acceptor.index_hint(at, raw, True)
    await written(store.commit(puts))
    if damage.found_ranges != found:
        return False
    damage.heal(family, healed)
    return True
