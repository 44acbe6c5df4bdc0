"""Replace small files atomically."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file durably: after a crash it has the old or the new content.

    Raises `OSError`; the old content then stays.
    """
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
