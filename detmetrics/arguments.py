"""One checker for each kind of argument: it returns the value in its plain form, or raises and names the argument.

Every checker takes the argument's name and its value. Numpy's numbers and arrays and torch's tensors are taken wherever
a number or a list is.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from detmetrics.frozen_dict import FrozenDict as FrozenDict

Checker = Callable[[str, Any], Any]


def plain(value: Any) -> Any:
    """Python's numbers and lists in place of numpy's and torch's."""
    return value.tolist() if hasattr(value, "tolist") else value


def fail(name: str, expected: str, value: Any, remedy: str = "") -> ValueError:
    """The error of an argument that does not fit, with what to give instead where that can be told."""
    return ValueError(f"{name}: expected {expected}, got {value!r}{remedy and f'; {remedy}'}")


def _of_percent(value: Any) -> str:
    """What to give instead of a percentage."""
    return f"{value:g} % is {value / 100:g}" if _is_number(value) and 1 < value <= 100 else ""


def optional(check: Checker) -> Checker:
    """A checker that also takes None."""
    return functools.partial(_optional, check)


def _optional(check: Checker, name: str, value: Any) -> Any:
    return None if value is None else check(name, value)


def choice(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """One of some values."""
    if not isinstance(value, str | int | None) or value not in choices:
        raise fail(name, f"one of {tuple(choices)}", value)
    return value


def one_of(*choices: Any) -> Checker:
    """A checker of :func:`choice`."""
    return functools.partial(choice, choices=choices)


def boolean(name: str, value: Any) -> bool:
    """A bool."""
    if not isinstance(plain(value), bool):
        raise fail(name, "a bool", value)
    return bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(name: str, value: Any, above: float = -math.inf) -> float:
    """A finite number, larger than ``above``."""
    given, value = value, plain(value)
    if not _is_number(value) or not above < value < math.inf:
        raise fail(name, "a finite number" if above == -math.inf else f"a finite number above {above:g}", given)
    return float(value)


positive = functools.partial(number, above=0.0)


def fraction(name: str, value: Any) -> float:
    """A number in [0, 1]."""
    given, value = value, plain(value)
    if not _is_number(value) or not 0 <= value <= 1:
        raise fail(name, "a number in [0, 1]", given, _of_percent(value))
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """A finite number, 0 or more."""
    given, value = value, plain(value)
    if not _is_number(value) or not 0 <= value < math.inf:
        raise fail(name, "a finite number, 0 or more", given)
    return float(value)


def fractions(name: str, values: Any) -> tuple[float, ...]:
    """Numbers in [0, 1], at least one."""
    listed = listing(name, values, "numbers in [0, 1]")
    for value in listed:
        if not _is_number(value) or not 0 <= value <= 1:
            raise fail(name, "numbers in [0, 1]", value, _of_percent(value))
    return tuple(float(value) for value in listed)


OVERLAPS = "above 0 and at most 1 (at 0, boxes that do not meet would match)"


def overlap_threshold(name: str, value: Any) -> float:
    """An overlap that a match needs, above 0."""
    given, value = value, plain(value)
    if not _is_number(value) or not 0 < value <= 1:
        raise fail(name, f"a number {OVERLAPS}", given, _of_percent(value))
    return float(value)


def overlap_thresholds(name: str, values: Any) -> tuple[float, ...]:
    """Overlaps that a match needs, above 0, at least one."""
    listed = listing(name, values, f"numbers {OVERLAPS}")
    return tuple(overlap_threshold(name, value) for value in listed)


def zero_division(name: str, value: Any) -> float:
    """What stands for 0/0: NaN or a finite number."""
    given, value = value, plain(value)
    if not _is_number(value) or math.isinf(value):
        raise fail(name, "a finite number or nan", given)
    return float(value)


def integer(name: str, value: Any, least: int | None = None) -> int:
    """An int, at least ``least``; a whole float counts as one."""
    given, value = value, plain(value)
    whole = _is_number(value) and (isinstance(value, int) or value.is_integer())
    if not whole or (least is not None and value < least):
        kind = {None: "an int", 0: "a non-negative int", 1: "a positive int"}[least]
        raise fail(name, kind, given)
    return int(value)


count = functools.partial(integer, least=0)


def limit(name: str, value: Any) -> int:
    """A positive int that int64 holds."""
    checked = integer(name, value, least=1)
    if checked >= 1 << 63:
        raise fail(name, "a positive int below 2**63", value)
    return checked


def limits(name: str, values: Any) -> tuple[int, ...]:
    """Detection limits: distinct positive ints, ascending, at least one."""
    listed = listing(name, values, "positive ints")
    for value in listed:
        if not _is_number(value) or not 1 <= value < 1 << 63 or value != int(value):
            raise fail(name, "positive ints", value)
    return tuple(sorted({int(value) for value in listed}))


def integers(name: str, values: Any) -> tuple[int, ...]:
    """An int, several ints or None, as distinct ints in ascending order."""
    given, values = values, plain(values)
    listed = [] if values is None else list(values) if isinstance(values, Iterable) else [values]
    try:
        return tuple(sorted({integer(name, value) for value in listed}))
    except ValueError:
        raise fail(name, "an int, several ints or None", given) from None


def labels(name: str, values: Any, num_classes: int) -> tuple[int, ...]:
    """Distinct labels of classes in ascending order; None for none."""
    listed = integers(name, values)
    if listed and not 0 <= listed[0] <= listed[-1] < num_classes:
        raise fail(name, f"labels 0 to {num_classes - 1}", list(listed))
    return listed


def label_order(name: str, values: Any, num_classes: int) -> tuple[int, ...]:
    """Distinct labels of classes in the order given; None for all."""
    if values is None:
        return tuple(range(num_classes))
    listed = tuple(integer(name, value) for value in listing(name, values, "labels"))
    if len(labels(name, listed, num_classes)) < len(listed):
        raise fail(name, "distinct labels", list(listed))
    return listed


def names(name: str, values: Any, named: Sequence[int]) -> tuple[str, ...]:
    """A distinct name for each label; None for the labels themselves."""
    listed = [str(label) for label in named] if values is None else listing(name, values, "names")
    if len(listed) != len(named) or len(set(listed)) < len(listed) or not all(isinstance(n, str) for n in listed):
        raise fail(name, f"{len(named)} distinct str, one for each of {list(named)}", listed)
    return tuple(listed)


def class_names(name: str, value: Any) -> FrozenDict[int, str]:
    """Class names by label, in ascending order of labels, from a list of names or a dict."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, str):
        pairs = list(enumerate(plain(value)))
    else:
        raise fail(name, "a list of names or a dict from label to name", value)
    for label, class_name in pairs:
        if not isinstance(plain(label), int) or not isinstance(class_name, str):
            got = f"{label!r}: {class_name!r}"
            raise ValueError(f"{name}: expected int labels and str names, got {got}{_as_labels(label, class_name)}")
    times = Counter(class_name for _, class_name in pairs)
    if len(times) < len(pairs):
        repeated = [class_name for class_name, count in times.items() if count > 1]
        raise fail(name, "distinct names", repeated, "each of them for several labels: add the label to the name")
    return FrozenDict(dict(sorted((int(label), class_name) for label, class_name in pairs)))


def _as_labels(label: Any, class_name: Any) -> str:
    """What to give instead of an item of a dict of names by label."""
    if isinstance(plain(class_name), int):
        return f"; the label comes first, {{{class_name!r}: {label!r}}}"
    if isinstance(label, str) and label.isdecimal():
        return "; keys of JSON are strings, give {int(label): name for label, name in names.items()}"
    return ""


def classes(names_given: Any, num_classes: Any) -> FrozenDict[int, str] | None:
    """The classes declared by ``class_names`` and ``num_classes``, or None; without names they are called 0, 1, ..."""
    named = None if names_given is None else class_names("class_names", names_given)
    if num_classes is None:
        return named
    num_classes = limit("num_classes", num_classes)
    if named is None:
        return FrozenDict({label: str(label) for label in range(num_classes)})
    if len(named) != num_classes:
        raise ValueError(
            f"class_names: expected num_classes={num_classes} names, got {len(named)}; with names, num_classes may "
            "be left out"
        )
    return named


def area_ranges(name: str, value: Any) -> FrozenDict[str, tuple[float, float]]:
    """Named area ranges: inclusive bounds ``(low, high)`` by name."""
    if not isinstance(value, Mapping):
        raise fail(name, "a dict of name to (low, high), such as {'small': (0, 1024)}", value)
    checked = {}
    for key, bounds in value.items():
        low_high = _bounds(bounds)
        if not isinstance(key, str) or low_high is None:
            raise ValueError(f"{name}: expected a name and (low, high) with low <= high, got {key!r}: {bounds!r}")
        if key.isdecimal() or "per_class" in key or key.removeprefix("iou_").isdecimal():
            raise ValueError(f"{name}: expected names that no other result has, unlike map_{key}, got {key!r}")
        checked[key] = low_high
    return FrozenDict(checked)


def area_range(name: str, value: Any, choices: Sequence[str]) -> str | tuple[float, float]:
    """One of some named area ranges, or inclusive bounds ``(low, high)``."""
    if isinstance(value, str):
        checked: str = choice(name, value, choices)
        return checked
    bounds = _bounds(value)
    if bounds is None:
        raise fail(name, f"one of {tuple(choices)} or (low, high)", value)
    return bounds


def _bounds(value: Any) -> tuple[float, float] | None:
    value = plain(value)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    low, high = (plain(bound) for bound in value)
    if not _is_number(low) or not _is_number(high) or not low <= high:  # NaN is not
        return None
    return float(low), float(high)


def class_weights(name: str, value: Any, num_classes: int | None, average: str) -> tuple[float, ...]:
    """A finite weight of 0 or more for each class, for a macro average."""
    weights = listing(name, value, "numbers")
    if not all(_is_number(weight) and 0 <= weight < math.inf for weight in weights):
        raise fail(name, "non-negative numbers", weights)
    if num_classes is None or len(weights) != num_classes:
        one_each = f"{num_classes} non-negative numbers, one for each class"
        if num_classes is None:
            raise fail(name, "declared classes with them", weights, "give num_classes or class_names")
        raise fail(name, one_each, weights)
    if average != "macro":
        raise ValueError(f"{name}: expected average='macro' with them, got average={average!r}")
    return tuple(float(weight) for weight in weights)


def listing(name: str, values: Any, expected: str) -> list[Any]:
    """The values as a list, at least one."""
    given, values = values, plain(values)
    if not isinstance(values, Sequence) or isinstance(values, str) or not len(values):
        one = f"give [{given!r}]" if isinstance(values, str | int | float) and not isinstance(values, bool) else ""
        raise fail(name, f"a list of {expected}, at least one", given, one)
    return [plain(value) for value in values]
