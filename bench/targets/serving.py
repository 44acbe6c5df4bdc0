"""The gateway's uvicorn settings, for the echo and FastAPI.

Two settings differ. The gateway has its own HTTP parser; the others use uvicorn's faster one. Only
the gateway limits its connections. A test compares the settings with ddb/gateway/process.py.
"""

from typing import Any

import uvicorn
import uvloop

SETTINGS: dict[str, Any] = {
    "http": "httptools",
    "interface": "asgi3",
    "ws": "none",
    "lifespan": "off",
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
