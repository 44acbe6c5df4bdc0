"""Bugs in the gateway, and in what it asks of nodes as a whole: retries, LIST, COUNT."""

from tests.sim.mutants.plant import Mutant, Patch

_ROUTER = "ddb.gateway.routing.router"
_HOME_READ = "ddb.gateway.routing.home_read"
_POLL = "ddb.gateway.listing.scatter_gather"
_SIGHT = "ddb.gateway.listing.quorum_scan"
_WALK = "ddb.gateway.listing.range_read"
_COUNTING = "ddb.gateway.listing.count"
_OPERATIONS = "ddb.gateway.routing.operation_ids"
_ON_TWO = "decided = self.on_two or "

GATEWAY = (
    Mutant(
        "reads-one-home",
        "a gateway reads from the first home whatever the other one holds",
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
        "a gateway answers with the newer of two states though it may be undecided",
        (Patch(_HOME_READ, "deadline) if is_decided else None", "deadline)"),),
        family="hearsay",
    ),
    Mutant(
        "reads-the-volatile",
        "a home tells a gateway of a state that its disk does not have yet",
        (
            Patch(
                "ddb.node.replica.acceptor",
                "return self.writes.said(request.key, VersionOnly(newest, decided(newest)))",
                "return VersionOnly(newest, decided(newest))",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "unknown-is-no",
        "a gateway whose coordinator fell silent says that nothing was done",
        (
            Patch(
                _ROUTER,
                "                    doubt = begun = lingering = True\n",
                "                    begun = lingering = True\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "overload-is-no",
        "a gateway says that nothing was done as its second coordinator is overloaded",
        (
            Patch(
                _ROUTER,
                "Applied.UNKNOWN if doubt else Applied.NO, reply.reason)",
                "Applied.NO, reply.reason)",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "overload-is-a-failure",
        "a gateway sends to a second coordinator what the first one has no time for",
        (
            Patch(
                _ROUTER,
                "                elif isinstance(reply, LogFull | Overloaded):\n",
                "                elif isinstance(reply, LogFull):\n",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "low-passes-the-open",
        "a gateway says that operations are over which it still attempts",
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
        "a gateway says that an operation is over while an attempt at it may still be under way",
        (Patch(_OPERATIONS, "        if linger > 0:\n", "        if False:\n"),),
        family="stubborn",
    ),
    Mutant(
        "new-name-per-attempt",
        "a gateway names each attempt at one operation differently",
        (
            Patch(
                _ROUTER,
                "                    operation.id,\n",
                "                    operation.id if not doubt else self._operations.name("
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
                "min(tried, key=lambda name: (tried[name], condition(name)))",
                "next(iter(tried))",
            ),
            # Without a pause it would ask the same node for ever, in no time.
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
        "LIST shows the row of one node that may be behind",
        (
            Patch(_SIGHT, " or found.head[NEWEST] < head[NEWEST]:", ":"),
            Patch(_SIGHT, _ON_TWO, "decided = True or "),
        ),
        family="seesaw",
    ),
    Mutant(
        "list-shows-the-undecided",
        "LIST shows a row that one node alone has",
        (Patch(_SIGHT, _ON_TWO, "decided = True or "),),
        family="volatile",
    ),
    Mutant(
        "list-skips-ahead",
        "LIST goes on after the last row of the node that told most",
        (Patch(_SIGHT, "page.keys[-1] < self.end)", "page.keys[-1] > self.end)"),),
        family="lone",
    ),
    Mutant(
        "list-ends-at-a-guess",
        "LIST takes the end of the partitions it chose to look at for the end of all",
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
        "LIST is content with one node of a cell",
        (
            Patch(_SIGHT, _ON_TWO, "decided = True or "),
            Patch(
                _POLL,
                "sum(node in names for node in cell) >= CELL - 1 for",
                "any(node in names for node in cell) for",
            ),
            Patch(_SIGHT, "if home in names and second_home in names:", "if True:"),
        ),
        family="seesaw",
    ),
    Mutant(
        "list-of-the-volatile",
        "a node lists rows that its disk does not have yet",
        (Patch("ddb.node.scan", "    await replica.writes.keys_durable(keys)\n", ""),),
        family="volatile",
    ),
    Mutant(
        "count-asks-one-home",
        "COUNT believes the first home's summary alone",
        (
            Patch(
                _COUNTING,
                "            if first is not None and first == second:\n",
                "            if first is not None:\n",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "count-without-hints",
        "COUNT believes one home without the standby's word",
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
        "COUNT believes a home by the word of a standby that may have let go since the home spoke",
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
        "LIST believes a home and a standby that may have let go since the home spoke",
        (
            Patch(
                _SIGHT,
                "if standby_replied and (home",
                "if standby in names and (home",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "places-by-what-is-disputed",
        "LIST finds the place of an offset by tallies of which the homes' are unequal",
        (
            Patch(
                _COUNTING,
                "    return [each for each in disputed if each < number]\n",
                "    return []\n",
            ),
        ),
        family="lone",
    ),
)
