import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_echo_and_gateway_share_their_uvicorn_settings() -> None:
    """The echo's uvicorn settings equal the gateway's, except for address, parser and limit."""
    gateway = (ROOT / "ddb/gateway/process.py").read_text(encoding="utf-8")
    calls = [
        node
        for node in ast.walk(ast.parse(gateway))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "uvicorn.Config"
    ]
    (config,) = calls
    names = {"STOP_GRACE_S": _named(gateway, "STOP_GRACE_S")}
    theirs = {
        keyword.arg: ast.literal_eval(names.get(ast.unparse(keyword.value), keyword.value))
        for keyword in config.keywords
        if keyword.arg not in ("host", "port", "http", "limit_concurrency")
    }
    echo = (ROOT / "bench/targets/serving.py").read_text(encoding="utf-8")
    assert ast.literal_eval(_named(echo, "SETTINGS")) == theirs | {"http": "httptools"}


def _named(source: str, name: str) -> ast.expr:
    """Return the value that a module assigns to `name`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [ast.unparse(target) for target in targets] == [name]:
                return node.value
    raise AssertionError(name)
