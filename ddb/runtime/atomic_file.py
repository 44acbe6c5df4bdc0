"""Replace a small file atomically."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file so that after a crash it is the old one or the new one. Raises OSError."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
