"""How the gateway sets up uvicorn: the bare echo and the FastAPI peer run under the very same.

All but the protocol of connections, where the gateway has its own and these have uvicorn's faster
one. A test compares this with ddb/gateway/process.py.
"""

from typing import Any

import uvicorn
import uvloop

SETTINGS: dict[str, Any] = {
    "http": "httptools",
    "interface": "asgi3",
    "ws": "none",
    "lifespan": "on",
    "access_log": False,
    "log_config": None,
    "log_level": "warning",
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": 3,
    "timeout_keep_alive": 75,
}


def serve(app: Any, port: int, **changed: Any) -> None:
    """Serve an ASGI application on the loopback interface until told to stop."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, **(SETTINGS | changed))
    uvloop.run(uvicorn.Server(config).serve())
