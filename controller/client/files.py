"""A file that others read while it is replaced."""

import os
from pathlib import Path


def replace_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, durable, so that a reader sees the old file or the new one. Makes
    the directory if need be. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
