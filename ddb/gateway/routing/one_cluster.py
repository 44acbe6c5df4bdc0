"""One cluster: a gateway uses no node while its nodes belong to different clusters.

With one wrong address a gateway would write some records to another cluster, and acknowledge them.
It cannot tell which of the two is meant, so it uses neither.
"""

from collections.abc import Callable

from ddb.wire.messages import Unwelcome, Welcome


class OneCluster:
    """Checks the answers of all nodes to this gateway's Hello."""

    def __init__(self, drop: Callable[[str], None]) -> None:
        """`drop` ends the connection to a node, which then has to answer again."""
        self._drop = drop
        self._clusters: dict[str, bytes] = {}
        """The cluster in the latest answer of each node; empty while the node joins one."""

    def check(self, name: str, reply: Welcome | Unwelcome) -> str:
        """Return why the gateway does not use the node `name`, or "" where it does."""
        if isinstance(reply, Unwelcome):
            return reply.reason
        self._clusters[name] = reply.cluster
        named = {name: cluster for name, cluster in self._clusters.items() if cluster}
        if len(set(named.values())) < 2:
            return ""
        for other in named:
            if other != name:
                self._drop(other)
        return (
            f"the nodes {', '.join(sorted(named))} belong to different clusters. The gateway uses"
            " none of them, so every request gets a 503 and nothing is changed; correct the list of"
            " nodes or the ports"
        )

    def __repr__(self) -> str:
        clusters = {cluster.hex() for cluster in self._clusters.values() if cluster}
        return f"<OneCluster {', '.join(sorted(clusters)) or 'unknown'}>"
