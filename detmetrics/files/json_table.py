"""JSON documents as tables: every column is checked, and an error says in one line where and what."""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from detmetrics import arguments
from detmetrics.files.bounded import MAX_BYTES, TooLargeError, read_bytes

Source = str | os.PathLike[str] | dict[str, Any] | list[Any]


def read(source: Source, name: str, max_bytes: int = MAX_BYTES) -> tuple[str, Any]:
    """The document of a source, and its name in errors: its path if it has one."""
    if not isinstance(source, str | os.PathLike):
        return name, source
    where = f"{source}: expected JSON, plain or gzipped"
    try:
        return str(source), json.loads(read_bytes(source, max_bytes))
    except TooLargeError:
        raise
    except RecursionError as error:
        raise ValueError(f"{where}, got arrays or objects that are nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{where}, got an error: {error}") from error


class Kind(NamedTuple):
    """What a column holds, in words and as a test of a plain value, and how another form of it becomes plain."""

    expected: str
    accepts: Callable[[Any], bool]
    plain: Callable[[Any], Any] = arguments.plain


def is_number(value: Any) -> bool:
    """Whether the value is a finite number."""
    return (isinstance(value, float) and math.isfinite(value)) or _is_int64(value)


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(is_number, value)) and min(value[2:]) >= 0


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_list_of_ids(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_id, value))


def whole(value: Any) -> Any:
    """An int in the place of a whole float, numpy's and torch's numbers included."""
    value = arguments.plain(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain_list(value: Any) -> Any:
    value = arguments.plain(value)
    return [arguments.plain(x) for x in value] if isinstance(value, list | tuple) else value


def _plain_ids(value: Any) -> Any:
    value = _plain_list(value)
    return [whole(x) for x in value] if isinstance(value, list) else value


NUMBER = Kind("a finite number", is_number)
AREA = Kind("a finite number of 0 or more", lambda value: is_number(value) and value >= 0)
ID = Kind("an integer or a string", _is_id, whole)
SIDE = Kind("an integer of 0 or more, below 2**31", lambda x: isinstance(x, int) and 0 <= x < 2**31, whole)
FLAG = Kind("0 or 1", lambda value: isinstance(value, int | float) and value in (0, 1))
BOX = Kind("[x, y, width, height], finite numbers, width and height of 0 or more", _is_box, _plain_list)
IDS = Kind("a list of integers or strings", _is_list_of_ids, _plain_ids)
TEXT = Kind("a string", lambda value: isinstance(value, str))


@dataclass(frozen=True)
class Table:
    """A list of JSON objects, and its name in errors."""

    name: str
    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, rows: Any, name: str) -> Table:
        """A table of what must be a list of objects."""
        if not isinstance(rows, list):
            raise ValueError(f"{name}: expected a JSON array, got {shown(rows)}")
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(f"{name}: entry {index}: expected a JSON object, got {shown(row)}")
        return cls(name, rows)

    @classmethod
    def under(cls, document: dict[str, Any], key: str, name: str) -> Table:
        """The table at a key of a document."""
        if key not in document:
            raise ValueError(f'{name}: expected the key "{key}", got the keys {shown(sorted(map(str, document)))}')
        return cls.of(document[key], f"{name}: {key}")

    def column(self, key: str, kind: Kind, defaults: Iterable[Any] | None = None) -> list[Any]:
        """The values of a key, all of one kind and in its plain form.

        With ``defaults``, one per row, the key may be missing or null.
        """
        values = [row.get(key) for row in self.rows]
        if defaults is not None:
            values = [default if value is None else value for value, default in zip(values, defaults, strict=False)]
        for index, value in enumerate(values):
            if not kind.accepts(value):
                values[index] = self._plain(index, key, kind, value)
        return values

    def _plain(self, index: int, key: str, kind: Kind, value: Any) -> Any:
        """The plain form of a value that is not plain, or an error."""
        plain = kind.plain(value)
        if kind.accepts(plain):
            return plain
        got = shown(value) if key in self.rows[index] else "no such key"
        raise self.error(index, f'"{key}": expected {kind.expected}, got {got}')

    def error(self, index: int, problem: str) -> ValueError:
        """The error of an entry."""
        return ValueError(f"{self.name}: entry {index}: {problem}")


def shown(value: Any) -> str:
    """The value on one line, cut short."""
    return reprlib.repr(value)
