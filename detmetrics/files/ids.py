"""Ids in files: any integers or strings, and the integers that stand for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Id = int | str

LEAST_LABEL, BEHIND = -(2**63), 2**63  # what int64 holds


def numbered(ids: Iterable[Id], least: int = 0) -> dict[Id, int]:
    """An int64 of ``least`` or more for each distinct id, ascending.

    Integers stand for themselves if all ids are such; else all are numbered from 0: integers first, in order, then
    strings, in order.

    Example:
        >>> numbered([7, 3]), numbered(["b.jpg", "a.jpg", -1])
        ({3: 3, 7: 7}, {-1: 0, 'a.jpg': 1, 'b.jpg': 2})
    """
    distinct = set(ids)
    integers = sorted(i for i in distinct if isinstance(i, int))
    strings = sorted(i for i in distinct if isinstance(i, str))
    if not strings and (not integers or (least <= integers[0] and integers[-1] < BEHIND)):
        return {i: i for i in integers}
    ordered: list[Id] = [*integers, *strings]
    return {i: number for number, i in enumerate(ordered)}


def not_the_numbers(ids: Mapping[int, Id]) -> dict[int, Id]:
    """The ids by their numbers, or nothing if all ids are their own numbers."""
    return {} if all(number == i for number, i in ids.items()) else dict(ids)


def as_text(ids: Mapping[int, Id]) -> str:
    """Ids by their numbers as JSON, which holds integers and strings of any length."""
    return json.dumps(sorted(ids.items()))


def from_text(text: Any) -> dict[int, Id]:
    """What :func:`as_text` has written.

    Raises:
        ValueError: if it is no such text.
    """
    try:
        rows = json.loads(text)
        ids = {number: i for number, i in rows if _is_number(number) and type(i) in (int, str)}
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError("image_ids: expected a JSON array of numbers with their ids, got another text") from error
    if not isinstance(rows, list) or len(ids) != len(rows) or len(set(ids.values())) != len(rows):
        raise ValueError("image_ids: expected distinct numbers with distinct ids, integers or strings, got others")
    return ids


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < BEHIND
