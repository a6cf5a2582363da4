"""What a process says of itself: with which parameters it runs."""

import re

import msgspec
from msgspec import Struct

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a process: it names a file."""
LARGEST = 4096
"""Bytes of such a file."""


class Running(Struct, frozen=True):
    """The content of NAME.json. `sha256`: of the bytes of the file of parameters that `process`
    runs with, hexadecimal."""

    process: str
    sha256: str


_DECODER = msgspec.json.Decoder(Running)


def encode(running: Running) -> bytes:
    """The content of the file."""
    return msgspec.json.encode(running) + b"\n"


def decode(content: bytes) -> Running:
    """What a process says. Raises ValueError."""
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"says nothing that can be read: {error}") from None
