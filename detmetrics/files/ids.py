"""Ids in files: any integers or strings, and the integers that stand for them."""

from __future__ import annotations

from collections.abc import Iterable

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
