"""The files in deploy/: official schemas and ddb's own parser."""

import re
import sys
from pathlib import Path

import pytest

from ddb.settings import gateway_settings, node_settings
from tests.cluster import ROOT
from tests.compose.stack import run

DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OLDEST, NEWEST = "1.29", "1.37"


def test_compose_files_satisfy_the_specification() -> None:
    """The compose files satisfy the Compose Specification, which docker-compose 2 implements."""
    files = (str(ROOT / "docker-compose.yml"), str(DEPLOY / "five.yml"))
    run(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_manifests_satisfy_the_kubernetes_schemas(version: str) -> None:
    """Every manifest satisfies the schema of its kind and has no other fields."""
    validate = (str(BIN / "kubernetes-validate"), "--strict", "-k", version)
    output = run(*validate, *map(str, MANIFESTS))
    text = "\n".join(manifest.read_text(encoding="utf-8") for manifest in MANIFESTS)
    assert output.count(" passed for resource ") == len(re.findall("^kind:", text, re.MULTILINE))


def test_files_agree_on_the_nodes() -> None:
    """`DDB_NODES` in each file names exactly the nodes that the file starts."""
    for file, domain in (
        (DEPLOY / "kubernetes" / "settings.yaml", ".db"),
        (DEPLOY / "swarm.yml", ""),
    ):
        named = re.search(r"DDB_NODES: (\S+)", file.read_text(encoding="utf-8"))
        assert named
        environ = {"DDB_NODES": named[1]}
        members = gateway_settings(environ, {}).members
        assert [member.name for member in members] == ["db-0", "db-1", "db-2"]
        assert [member.host for member in members] == [f"db-{n}{domain}" for n in range(3)]
        assert node_settings(environ, {}, hostname="db-2").port == 8081
    nodes = (DEPLOY / "kubernetes" / "nodes.yaml").read_text(encoding="utf-8")
    assert re.search(r"^  name: db$", nodes, re.MULTILINE)
    assert "replicas: 3" in nodes
