"""Bugs in the gateway, and in the nodes' side of LIST and COUNT."""

from tests.sim.mutants.plant import Mutant, Patch

_ROUTER = "ddb.gateway.routing.router"
_HOME_READ = "ddb.gateway.routing.home_read"
_POLL = "ddb.gateway.listing.scatter_gather"
_SCAN = "ddb.gateway.listing.quorum_scan"
_WALK = "ddb.gateway.listing.range_read"
_COUNTING = "ddb.gateway.listing.count"
_OPERATIONS = "ddb.gateway.routing.operation_ids"
_ON_TWO = "return bool(self.second) or "

GATEWAY = (
    Mutant(
        "reads-one-home",
        "a gateway reads from the first home and ignores the other",
        (
            Patch(
                _HOME_READ,
                "        if newest == version.dot:\n",
                "        if True:\n",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "reads-the-newer-home",
        "a gateway answers with the newer of two states although it may be undecided",
        (Patch(_HOME_READ, "deadline) if is_decided else None", "deadline)"),),
        family="hearsay",
    ),
    Mutant(
        "reads-the-volatile",
        "a home sends a gateway a state that is not durable yet",
        (
            Patch(
                "ddb.node.replica.acceptor",
                "return self.writes.reply_when_durable(request.key, "
                "VersionOnly(newest, decided(newest)))",
                "return VersionOnly(newest, decided(newest))",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "unknown-is-no",
        "a gateway answers that nothing was done although its coordinator fell silent",
        (
            Patch(
                _ROUTER,
                "                    in_doubt = begun = lingering = True\n",
                "                    begun = lingering = True\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "overload-is-no",
        "a gateway answers that nothing was done when only the second coordinator is overloaded",
        (
            Patch(
                _ROUTER,
                "applied = Applied.UNKNOWN if in_doubt else Applied.NO",
                "applied = Applied.NO",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "overload-is-a-failure",
        "a gateway retries a change on a second coordinator when the first is overloaded",
        (
            Patch(
                _ROUTER,
                "isinstance(reply, Overloaded) and self._is_load(coordinator, record_key)",
                "False",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "low-passes-the-open",
        "a gateway declares operations over that it still attempts",
        (
            Patch(
                _OPERATIONS,
                "        return next(iter(self._open), self._last + 1)\n",
                "        return self._last + 1\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "low-passes-the-lingering",
        "a gateway declares an operation over while an attempt may still be in flight",
        (Patch(_OPERATIONS, "        if linger > 0:\n", "        if False:\n"),),
        family="stubborn",
    ),
    Mutant(
        "new-name-per-attempt",
        "a gateway gives each attempt at one operation a new name",
        (
            Patch(
                _ROUTER,
                "                    operation.id,\n",
                "                    operation.id if not in_doubt else self._operations.name("
                "self._operations.begin()).id,\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "one-coordinator-only",
        "a gateway tries the first home only",
        (
            Patch(
                _ROUTER,
                "min((name for name in cell.nodes if name not in tried), key=condition)",
                "cell.home",
            ),
            # Without a pause it would ask the same node for ever at one moment.
            Patch(
                _ROUTER,
                "            reply is not None\n            and all(",
                "            reply is not None\n            or all(",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "list-takes-any-row",
        "LIST shows a row from one node, which may be behind",
        (
            Patch(_SCAN, " or found.head[NEWEST] < head[NEWEST]:", ":"),
            Patch(_SCAN, _ON_TWO, "return True or "),
        ),
        family="seesaw",
    ),
    Mutant(
        "list-shows-the-undecided",
        "LIST shows a row that only one node has",
        (Patch(_SCAN, _ON_TWO, "return True or "),),
        family="volatile",
    ),
    Mutant(
        "list-compares-keys-alone",
        "LIST shows a record that two nodes have in different states",
        (
            Patch(
                _SCAN,
                "if in_order != [keys[at] for at in second] or"
                " states != [heads[at] for at in second]:",
                "if in_order != [keys[at] for at in second]:",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "list-keeps-the-first-scan",
        "LIST shows what the first scan agreed on although the second has newer states",
        (
            Patch(
                _SCAN,
                "self._agreed = agreed_rows(scan.values(), self.end) if first else None",
                "self._agreed = agreed_rows(scan.values(), self.end) if first else self._agreed",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "list-covers-every-state",
        "a node calls every state that it lists decided",
        (
            Patch(
                "ddb.node.consensus.commit_index",
                "[bisect_left(bounds.get(node, ()), counter) & 1 for counter, node in dots]",
                "[1 for _ in dots]",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "list-skips-ahead",
        "LIST continues after the furthest row of any node, and skips rows of the others",
        (Patch(_SCAN, "page.keys[-1] < self.end)", "page.keys[-1] > self.end)"),),
        family="lone",
    ),
    Mutant(
        "list-ends-at-a-guess",
        "LIST takes the end of the partitions that it has read for the end of all",
        (
            Patch(
                _WALK,
                "at = section.end or (start_of(stop) if stop < PARTITIONS else None)",
                "at = section.end",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "list-from-one-node",
        "LIST reads from one node of a cell only",
        (
            Patch(_SCAN, _ON_TWO, "return True or "),
            Patch(
                _POLL,
                "sum(node in names for node in cell) >= CELL - 1 for",
                "any(node in names for node in cell) for",
            ),
            Patch(_SCAN, "if home in names and second_home in names:", "if True:"),
        ),
        family="seesaw",
    ),
    Mutant(
        "list-of-the-volatile",
        "a node lists rows that are not durable yet",
        (Patch("ddb.node.scan", "    await replica.writes.wait_keys(keys)\n", ""),),
        family="volatile",
    ),
    Mutant(
        "count-asks-one-home",
        "COUNT trusts the first home's tally alone",
        (
            Patch(
                "ddb.gateway.listing.digest_comparison",
                "compress(count(), halves)",
                "()",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "count-by-earlier-digests",
        "COUNT keeps the digests of an earlier COUNT that the same nodes replied to",
        (
            Patch(
                "ddb.gateway.listing.digest_comparison",
                "tables != self._tables:",
                "tables.keys() != self._tables.keys():",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "waits-for-a-late-node-again",
        "LIST and COUNT wait for a late node at each of their requests",
        (
            Patch(
                _POLL,
                "            finally:\n                self._late |= late\n",
                "            finally:\n",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "count-without-hints",
        "COUNT trusts one home without the standby's answer",
        (
            Patch(
                _COUNTING,
                "        if cell.standby not in claims:\n"
                "            return None\n"
                "        keepers = claims[cell.standby].get(number, cell.homes)\n",
                "        keepers = cell.homes\n",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "count-by-a-later-word",
        "COUNT trusts a home by a standby that may have dropped hints since the home answered",
        (
            Patch(
                _COUNTING,
                "        disputed: list[int] = []\n        damaged =",
                "        claims = {name: reply.hints for name, reply in answers.items()}\n"
                "        disputed: list[int] = []\n        damaged =",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "list-in-one-scan",
        "LIST trusts a home and a standby that may have dropped hints since the home answered",
        (
            Patch(
                _SCAN,
                "if standby_replied and (home",
                "if standby in names and (home",
            ),
        ),
        family="homecoming",
    ),
)
