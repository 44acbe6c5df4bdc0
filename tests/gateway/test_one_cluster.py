"""A gateway that reaches nodes of two clusters."""

from ddb.gateway.routing.one_cluster import OneCluster
from ddb.wire.messages import Unwelcome, Welcome

ONE, OTHER = b"one", b"other"


def answer(cluster: bytes) -> Welcome:
    """Return the answer of a node of a cluster."""
    return Welcome("a node", 0, None, cluster)


def test_nodes_of_one_cluster_are_used() -> None:
    """Nodes of one cluster are used, and blank ones."""
    dropped: list[str] = []
    check = OneCluster(dropped.append).check
    assert [check("a", answer(ONE)), check("b", answer(b"")), check("c", answer(ONE))] == [""] * 3
    assert dropped == []


def test_nodes_of_two_clusters_are_not_used() -> None:
    """Once nodes belong to different clusters none of them is used, in any order of answers."""
    dropped: list[str] = []
    check = OneCluster(dropped.append).check
    assert check("a", answer(ONE)) == ""
    assert "belong to different clusters" in check("b", answer(OTHER))
    assert dropped == ["a"]
    assert "belong to different clusters" in check("a", answer(ONE))
    assert dropped == ["a", "b"]


def test_a_new_cluster_is_used_once_all_nodes_belong_to_it() -> None:
    """A gateway goes on where a new cluster replaces the former one, node by node."""
    check = OneCluster(lambda _: None).check
    for name in "abc":
        assert check(name, answer(ONE)) == ""
    assert check("a", answer(OTHER))
    assert check("b", answer(OTHER))
    assert [check(name, answer(OTHER)) for name in "cab"] == [""] * 3


def test_a_refusal_states_its_reason() -> None:
    """The reason of a node that refuses the gateway is passed on."""
    assert OneCluster(lambda _: None).check("a", Unwelcome("another version")) == "another version"
