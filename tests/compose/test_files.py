"""The files in deploy/: by the official schemas, and by what ddb itself makes of them."""

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


def test_compose_files_are_of_the_specification() -> None:
    """The compose files satisfy the Compose Specification, which version 2 goes by."""
    files = (str(ROOT / "docker-compose.yml"), str(DEPLOY / "five.yml"))
    run(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_manifests_are_of_kubernetes(version: str) -> None:
    """Every manifest satisfies the schema of its kind, with no field that is not in it."""
    validate = (str(BIN / "kubernetes-validate"), "--strict", "-k", version)
    said = run(*validate, *map(str, MANIFESTS))
    text = "\n".join(manifest.read_text(encoding="utf-8") for manifest in MANIFESTS)
    assert said.count(" passed for resource ") == len(re.findall("^kind:", text, re.MULTILINE))


def test_processes_agree_on_the_nodes() -> None:
    """Wherever a file names the nodes, ddb reads the names that the file's nodes have."""
    for file, hosts in (
        (DEPLOY / "kubernetes" / "settings.yaml", ".db"),
        (DEPLOY / "swarm.yml", ""),
    ):
        named = re.search(r"DDB_NODES: (\S+)", file.read_text(encoding="utf-8"))
        assert named
        environ = {"DDB_NODES": named[1]}
        members = gateway_settings(environ, {}).members
        assert [member.name for member in members] == ["db-0", "db-1", "db-2"]
        assert [member.host for member in members] == [f"db-{n}{hosts}" for n in range(3)]
        assert node_settings(environ, {}, hostname="db-2").port == 8081
    nodes = (DEPLOY / "kubernetes" / "nodes.yaml").read_text(encoding="utf-8")
    assert re.search(r"^  name: db$", nodes, re.MULTILINE)
    assert "replicas: 3" in nodes
