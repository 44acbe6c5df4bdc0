"""Bugs in the coordinator: rounds, the fast path, the queue of a record."""

from tests.sim.mutants.plant import Mutant, Patch

_COORDINATOR = "ddb.node.consensus.coordinator"
_PROPOSER = "ddb.node.consensus.proposer"
_AGREEMENT = "ddb.node.consensus.quorum_read"
_PARTNERS = "ddb.node.consensus.quorum_peers"
_FAST = "ddb.node.fastpath.fast_write"
_LOOKUP = "ddb.node.fastpath.fast_read"

_ASKS_FAST = """            asking = self._transport.ask(
                peer,
                Propose(key, ballot"""

_ASKS_SLOW = """            reply = await self.peers.ask(
                peer, Propose("""

COORDINATOR = (
    Mutant(
        "own-copy-first",
        "the coordinator stores its own copy before the partner has stored",
        (
            Patch(_FAST, _ASKS_FAST, "            self._replica.offer(key, raw)\n" + _ASKS_FAST),
            Patch(_PROPOSER, _ASKS_SLOW, "            replica.offer(key, raw)\n" + _ASKS_SLOW),
        ),
        family="bridge",
    ),
    Mutant(
        "own-copy-first-in-rounds",
        "the coordinator stores its own copy first where it takes more than one message",
        (Patch(_PROPOSER, _ASKS_SLOW, "            replica.offer(key, raw)\n" + _ASKS_SLOW),),
        family="bridge",
    ),
    Mutant(
        "answers-before-the-partner",
        "a change is answered before the partner has stored it",
        (
            Patch(
                _FAST,
                "        replica.watch(key)\n",
                "        answer.set_result(result_of(request.kind, made.outcome, made.state))\n"
                "        replica.watch(key)\n",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "no-own-promise",
        "the coordinator does not promise its ballot to itself",
        (
            Patch(
                _FAST,
                "            replica.promise(key, ballot)\n            asking",
                "            asking",
            ),
            Patch(_PROPOSER, "            replica.promise(key, ballot)\n", ""),
        ),
        family="bridge",
    ),
    Mutant(
        "own-copy-against-a-promise",
        "the coordinator stores its own copy although it has promised a newer ballot since",
        (
            Patch(
                _FAST,
                "replica.replace(key, attempt.raw, newest, attempt.base) is STORED",
                "(replica.restore(key, attempt.raw) or True)",
            ),
            Patch(
                _PROPOSER,
                "if replica.offer(key, raw) is Verdict.STORED:",
                "if replica.restore(key, raw) or True:",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "own-fsync-not-awaited",
        "the coordinator answers before its own copy is durable",
        (
            Patch(
                _FAST,
                "            pending = replica.writes.in_flight(key)\n",
                "            pending = None\n",
            ),
            Patch(
                "ddb.node.replica.pending_writes",
                "        await written(self._pending.get(key))\n",
                "        await written(None)\n",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "own-version-as-it-was",
        "a read compares the partner's answer with its own version of the time of asking",
        (
            Patch(
                _AGREEMENT,
                "            asked = self._replica.copies.newest(key)\n",
                "            raw = self._replica.copies.raw(key)\n            asked = peek(raw)\n",
            ),
            Patch(
                _AGREEMENT,
                "            raw = self._replica.copies.raw(key)\n            own = peek(raw)\n",
                "            own = peek(raw)\n",
            ),
            Patch(
                _LOOKUP,
                "        newest = peek(self._replica.copies.raw(key))\n",
                "        raw = self._replica.copies.raw(key)\n        newest = peek(raw)\n",
            ),
            Patch(
                _LOOKUP,
                "answer, key, standby, newest, decided",
                "answer, key, standby, raw, decided",
            ),
            Patch(
                _LOOKUP,
                "        own = self._replica.copies.readable(key)\n",
                "        own, newest = newest, peek(newest)\n",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "acceptance-proves-a-retry",
        "a coordinator answers a retry as done because its replica once accepted the change",
        (
            Patch(
                _COORDINATOR,
                "        if None not in results:\n            # The own copy",
                "        if all(getattr(result, 'recalled', False) for result in results):\n"
                "            for change, result in zip(changes, results, strict=True):\n"
                "                change.result = result\n"
                "            return\n"
                "        if None not in results:\n            # The own copy",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "own-attempts-leave-no-doubt",
        "a coordinator forgets that a node may still store its own unanswered proposal",
        (
            Patch(
                _PROPOSER,
                "            if fate is Fate.UNKNOWN:\n                _doubt",
                "            if False:\n                _doubt",
            ),
            Patch(
                _FAST,
                "        proposed = reply is None or type(reply) is Accepted\n",
                "        proposed = False\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "undecided-is-no",
        "a coordinator that runs into its deadline answers that the change will not take effect",
        (
            Patch(
                _PARTNERS, "        self.in_doubt = in_doubt\n", "        self.in_doubt = False\n"
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "a-refusal-is-a-yes",
        "a coordinator counts a partner's refusal as an acceptance",
        (
            Patch(
                _PROPOSER,
                "            if isinstance(reply, Accepted):\n                if replica",
                "            if reply is not None:\n                if replica",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "reads-on-without-its-hint",
        "a standby finishes a read with an older answer after it has handed off its newer hint",
        (
            Patch(
                _AGREEMENT,
                "            if own < asked:\n",
                "            if isinstance(reply, SameVersion) and own < asked:\n",
            ),
        ),
        family="pledges",
    ),
    Mutant(
        "drops-in-mid-round",
        "a standby drops a hint while it coordinates a round on that record",
        (
            Patch(
                "ddb.node.repair.handoff",
                "self._coordinator.queue.free(key) and self._replica.drop(",
                "self._replica.drop(",
            ),
        ),
        family="pledges",
    ),
    Mutant(
        "own-state-wins",
        "a round builds on the coordinator's state although the partner's is newer",
        (
            Patch(
                _PROPOSER,
                "(own, theirs) if own.newest >= theirs.newest else (theirs, own)",
                "(own, theirs)",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "brings-back-an-older-state",
        "a home proposes its state again although its partner has reported a newer one",
        (
            Patch(
                _FAST,
                "type(reply) is ReplicaState and peek(reply.state) < peek(attempt.base)",
                "type(reply) is ReplicaState",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "read-without-repair",
        "a read answers from the coordinator's copy although perhaps no other node has it",
        (
            Patch(
                _AGREEMENT,
                "        return decided and not isinstance(stored, Rejected)\n",
                "        return True\n",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "read-does-not-store",
        "a read answers with the partner's newer state and does not store it",
        (
            Patch(
                _AGREEMENT,
                "            if self._replica.offer(key, reply.state) is Verdict.REFUSED:\n"
                "                return None\n",
                "",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "never-asks-the-standby",
        "a coordinator asks a silent partner again and again instead of the standby",
        (
            Patch(
                _PARTNERS,
                "            tries[best] += 1\n",
                "            best = next(iter(tries))\n            tries[best] += 1\n",
            ),
            # Without a pause it would ask the same node for ever at one moment.
            Patch(
                _PARTNERS,
                "        if condition is Condition.DOWN or condition > ",
                "        if True or condition > ",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "never-gives-up",
        "a coordinator that reaches neither partner tries on until the client's time is over",
        (
            Patch(
                _PARTNERS,
                "        if self.both_failed(key, failed_after):\n",
                "        if False:\n",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "overloaded-after-the-beginning",
        "a coordinator reports a change as not begun although it could not finish it",
        (
            Patch(
                "ddb.node.fastpath.combiner",
                "                reply_to(request, change.result)\n",
                "                _TOO_LATE\n"
                "                if isinstance(reply_to(request, change.result), Undecided)\n"
                "                else reply_to(request, change.result)\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "turns-not-kept",
        "a coordinator runs two operations on one record at once",
        (
            Patch(
                "ddb.node.consensus.key_queue",
                "        return key not in self._waiting\n",
                "        return True\n",
            ),
            Patch(
                "ddb.node.consensus.key_queue",
                "        queue = self._waiting[key]\n        while queue:",
                "        queue = self._waiting.get(key, ())\n        while queue:",
            ),
            Patch(
                "ddb.node.consensus.key_queue",
                "        del self._waiting[key]\n",
                "        self._waiting.pop(key, None)\n",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "stand-in-takes-any-state",
        "a home serves a perhaps undecided state with a standby that has none",
        (
            Patch(
                _LOOKUP,
                "(decided and type(reply) is ReplicaState and peek",
                "(type(reply) is ReplicaState and peek",
            ),
        ),
        family="hearsay",
    ),
)
