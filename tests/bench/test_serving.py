import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_limit_is_served_as_the_gateway_is() -> None:
    """The bare echo's uvicorn settings are the gateway's, but for the address and the parser."""
    gateway = (ROOT / "ddb/gateway/process.py").read_text(encoding="utf-8")
    calls = [
        node
        for node in ast.walk(ast.parse(gateway))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "uvicorn.Config"
    ]
    (config,) = calls
    names = {"GRACEFUL": _named(gateway, "GRACEFUL")}
    theirs = {
        keyword.arg: ast.literal_eval(names.get(ast.unparse(keyword.value), keyword.value))
        for keyword in config.keywords
        if keyword.arg not in ("host", "port", "http")
    }
    echo = (ROOT / "bench/targets/serving.py").read_text(encoding="utf-8")
    assert ast.literal_eval(_named(echo, "SETTINGS")) == theirs | {"http": "httptools"}


def _named(source: str, name: str) -> ast.expr:
    """What a module's top level gives that name."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [ast.unparse(target) for target in targets] == [name]:
                return node.value
    raise AssertionError(name)
