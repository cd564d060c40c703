"""JSON documents as tables: every column is checked, and an error says in one line where and what."""

import gzip
import json
import math
import os
import reprlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Source = str | os.PathLike[str] | dict[str, Any] | list[Any]

GZIP_MAGIC = b"\x1f\x8b"


def read(source: Source, name: str) -> tuple[str, Any]:
    """The document of a source, and its name in errors: its path if it has one."""
    if not isinstance(source, str | os.PathLike):
        return name, source
    data = Path(source).read_bytes()
    try:
        return str(source), json.loads(gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{source}: expected JSON, plain or gzipped, got an error: {error}") from error


class Kind(NamedTuple):
    """What a column holds, in words and as a test."""

    expected: str
    accepts: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether the value is a finite number."""
    return (isinstance(value, float) and math.isfinite(value)) or _is_int64(value)


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(is_number, value)) and min(value[2:]) >= 0


NUMBER = Kind("a finite number", is_number)
AREA = Kind("a finite number of 0 or more", lambda value: is_number(value) and value >= 0)
INTEGER = Kind("an integer", _is_int64)
IMAGE_ID = Kind("an integer of 0 or more", lambda value: _is_int64(value) and value >= 0)
SIDE = Kind("an integer of 0 or more", lambda value: _is_int64(value) and value >= 0)
FLAG = Kind("0 or 1", lambda value: value in (0, 1))
BOX = Kind("[x, y, width, height], finite numbers, width and height of 0 or more", _is_box)
TEXT = Kind("a string", lambda value: isinstance(value, str))


@dataclass(frozen=True)
class Table:
    """A list of JSON objects, and its name in errors."""

    name: str
    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, rows: Any, name: str) -> "Table":
        """A table of what must be a list of objects."""
        if not isinstance(rows, list):
            raise ValueError(f"{name}: expected a JSON array, got {shown(rows)}")
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(f"{name}: entry {index}: expected a JSON object, got {shown(row)}")
        return cls(name, rows)

    @classmethod
    def under(cls, document: dict[str, Any], key: str, name: str) -> "Table":
        """The table at a key of a document."""
        if key not in document:
            raise ValueError(f'{name}: expected the key "{key}", got the keys {shown(sorted(document))}')
        return cls.of(document[key], f"{name}: {key}")

    def column(self, key: str, kind: Kind, defaults: Iterable[Any] | None = None) -> list[Any]:
        """The values of a key, all of one kind.

        With ``defaults``, one per row, the key may be missing or
        null.
        """
        values = [row.get(key) for row in self.rows]
        if defaults is not None:
            values = [default if value is None else value for value, default in zip(values, defaults, strict=False)]
        for index, value in enumerate(values):
            if not kind.accepts(value):
                got = shown(value) if key in self.rows[index] else "no such key"
                raise ValueError(f'{self.name}: entry {index}: "{key}": expected {kind.expected}, got {got}')
        return values


def shown(value: Any) -> str:
    """The value on one line, cut short."""
    return reprlib.repr(value)
