"""The gateway's uvicorn settings, for the echo and FastAPI.

Two settings differ. Only the gateway limits its connections and hands some to its fast lane; the
others use uvicorn's own protocol. A test compares the settings with ddb/gateway/process.py.
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
    """Serve an ASGI application on 127.0.0.1 until a signal.

    Args:
        app: The application.
        port: The port.
        changed: uvicorn settings that differ from `SETTINGS`.
    """
    config = uvicorn.Config(app, host="127.0.0.1", port=port, **(SETTINGS | changed))
    uvloop.run(uvicorn.Server(config).serve())
