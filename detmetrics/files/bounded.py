"""Reading files that may unpack to more than they are."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import IO, cast

GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 1 << 30  # that a packed file may unpack to, unless a caller says otherwise
CHUNK = 1 << 20


class TooLargeError(ValueError):
    """A file unpacks to more than is allowed."""


def read_bytes(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file, unpacked if it is gzipped.

    Args:
        path: The file.
        max_bytes: How much a gzipped file, or a source without a size, such as a pipe, may give. A plain file is read
            whatever its size.

    Raises:
        OSError: if the file cannot be read.
        TooLargeError: if there is more.
        ValueError: if the file is damaged.
    """
    with Path(path).open("rb") as file:
        packed = file.peek(2)[:2] == GZIP_MAGIC
        if not packed and Path(path).is_file():
            return file.read()
        try:
            stream: IO[bytes] = cast(IO[bytes], gzip.GzipFile(fileobj=file) if packed else file)
            data = _at_most(stream, max_bytes + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(str(error)) from error
    if len(data) > max_bytes:
        raise too_much(path, max_bytes, "more")
    return data


def _at_most(file: IO[bytes], size: int) -> bytes:
    """The first bytes of a stream; nothing is set aside for bytes that may not come."""
    data = io.BytesIO()
    while data.tell() < size and (part := file.read(min(CHUNK, size - data.tell()))):
        data.write(part)
    return data.getvalue()


def too_much(path: str | os.PathLike[str], max_bytes: int, got: str) -> TooLargeError:
    """The error of a file that unpacks to more than is allowed."""
    expected = f"expected a file that unpacks to at most {in_bytes(max_bytes)}"
    return TooLargeError(f"{os.fspath(path)}: {expected}, got {got}; if you trust it, raise max_bytes (--max-bytes)")


def in_bytes(size: int) -> str:
    """A size as errors say it."""
    return f"{size} bytes" if size < 10_000_000 else f"{size / 1e9:.2f} GB"
