"""Bugs in how a node decides a record with its partners: rounds, the fast path, the queue."""

from tests.sim.mutants.plant import Mutant, Patch

_COORDINATOR = "ddb.node.consensus.coordinator"
_AGREEMENT = "ddb.node.consensus.quorum_read"
_PARTNERS = "ddb.node.consensus.quorum_peers"
_FAST = "ddb.node.fastpath.fast_write"
_LOOKUP = "ddb.node.fastpath.fast_read"

_ASKS_FAST = """            asking = self._transport.ask(
                partner,
                Propose(key, ballot"""

_ASKS_SLOW = """            reply = await self._partners.ask(
                partner, Propose("""

COORDINATOR = (
    Mutant(
        "own-copy-first",
        "the coordinator stores its own copy before the partner has stored",
        (
            Patch(_FAST, _ASKS_FAST, "            self._replica.offer(key, raw)\n" + _ASKS_FAST),
            Patch(_COORDINATOR, _ASKS_SLOW, "            replica.offer(key, raw)\n" + _ASKS_SLOW),
        ),
        family="bridge",
    ),
    Mutant(
        "own-copy-first-in-rounds",
        "the coordinator stores its own copy first where it takes more than one message",
        (Patch(_COORDINATOR, _ASKS_SLOW, "            replica.offer(key, raw)\n" + _ASKS_SLOW),),
        family="bridge",
    ),
    Mutant(
        "answers-before-the-partner",
        "a change is answered before the partner has stored it",
        (
            Patch(
                _FAST,
                "        replica.watch(key)\n",
                "        answer.set_result(_told(request.kind, made.outcome, made.state))\n"
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
            Patch(_COORDINATOR, "            replica.promise(key, ballot)\n", ""),
        ),
        family="bridge",
    ),
    Mutant(
        "own-copy-against-a-promise",
        "the coordinator stores its own copy though it has promised something newer meanwhile",
        (
            Patch(
                _FAST,
                "replica.replace(key, raw, made.state.newest, held) is Verdict.STORED",
                "(replica.restore(key, raw) or True)",
            ),
            Patch(
                _COORDINATOR,
                "if replica.offer(key, raw) is Verdict.STORED:",
                "if replica.restore(key, raw) or True:",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "own-fsync-not-awaited",
        "a coordinator answers before its own disk has the copy",
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
        "a read holds the partner's answer against the own version of when it asked",
        (
            Patch(
                _AGREEMENT,
                "            asked = self._replica.newest(key)\n",
                "            raw = self._replica.raw(key)\n            asked = peek(raw)\n",
            ),
            Patch(
                _AGREEMENT,
                "            raw = self._replica.raw(key)\n            own = peek(raw)\n",
                "            own = peek(raw)\n",
            ),
            Patch(
                _LOOKUP,
                "        newest = peek(self._replica.raw(key))\n",
                "        raw = self._replica.raw(key)\n        newest = peek(raw)\n",
            ),
            Patch(
                _LOOKUP, "answer, key, standby, newest, known", "answer, key, standby, raw, known"
            ),
            Patch(
                _LOOKUP,
                "        held = self._replica.readable(key)\n",
                "        held, newest = newest, peek(newest)\n",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "acceptance-proves-a-retry",
        "a retry is taken for done because this replica once accepted it",
        (
            Patch(
                _COORDINATOR,
                "        foreseen = remembered(own, operation)\n",
                "        foreseen = remembered(own, operation)\n"
                "        if foreseen is not None:\n            return foreseen, own\n",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "own-attempts-leave-no-doubt",
        "a coordinator forgets that its own unanswered proposal may still be stored",
        (
            Patch(_COORDINATOR, "                doubt = doubt or reply is None\n", ""),
            Patch(
                _FAST,
                "        doubt = reply is None or type(reply) is Accepted\n",
                "        doubt = False\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "undecided-is-no",
        "a coordinator that ran out of time says that nothing will have happened",
        (Patch(_PARTNERS, "        self.maybe = maybe\n", "        self.maybe = False\n"),),
        family="stubborn",
    ),
    Mutant(
        "a-refusal-is-a-yes",
        "a coordinator takes a refusing partner for one that has stored",
        (
            Patch(
                _COORDINATOR,
                "            if isinstance(reply, Accepted):\n                if replica",
                "            if reply is not None:\n                if replica",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "reads-on-without-its-hint",
        "a standby reads on with an older answer though its newer hint has gone home meanwhile",
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
        "a standby lets go of a hint while it coordinates a round on that record",
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
        "a round builds on the coordinator's state though the partner's is newer",
        (
            Patch(
                _COORDINATOR,
                "(own, theirs) if own.newest >= theirs.newest else (theirs, own)",
                "(own, theirs)",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "brings-back-an-older-state",
        "a home proposes again what it had though its partner has told of something newer",
        (
            Patch(
                _FAST,
                "type(reply) is ReplicaState and peek(reply.state) < peek(held)",
                "type(reply) is ReplicaState",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "read-without-repair",
        "a read answers from an own copy that nobody else is known to have",
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
        "a read answers with the partner's newer state without storing it",
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
        "a coordinator whose partner is silent asks it again and again",
        (
            Patch(
                _PARTNERS,
                "            tried[best] += 1\n",
                "            best = next(iter(tried))\n            tried[best] += 1\n",
            ),
            # Without a pause it would ask the same node for ever, in no time.
            Patch(
                _PARTNERS,
                "        if hopeful is Condition.DOWN or hopeful > ",
                "        if True or hopeful > ",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "never-gives-up",
        "a coordinator that reaches neither partner tries on until the client's time is over",
        (Patch(_PARTNERS, "        if self.lost(key, since):\n", "        if False:\n"),),
        family="lone",
    ),
    Mutant(
        "overloaded-after-the-beginning",
        "a coordinator says that it has not begun what it could not end",
        (
            Patch(
                _FAST,
                "        except Crowded as crowded:\n",
                "        except (Crowded, Expired) as crowded:\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "turns-not-kept",
        "two operations of one coordinator on one record run at once",
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
        "a home tells its state with a standby that has none though it may be undecided",
        (
            Patch(
                _LOOKUP,
                "(known and type(reply) is ReplicaState and peek",
                "(type(reply) is ReplicaState and peek",
            ),
        ),
        family="seesaw",
    ),
)
