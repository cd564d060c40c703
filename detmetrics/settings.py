"""Settings: frozen values that check themselves, however they are made.

A metric's constructor builds one, and so does every assignment to an attribute of the metric that is a setting. What
cannot be changed in place cannot be changed behind a result that was kept.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass
from typing import Any

from detmetrics.arguments import Checker


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of settings. A field is declared with its checker: ``beta: Annotated[float, arguments.positive]``.

    Checks that concern several fields go into ``check()``.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, checker in _checkers(kind).items():
            object.__setattr__(self, name, checker(name, getattr(self, name)))
        self.check()

    def check(self) -> None:
        """Raise a ``ValueError`` if the fields do not fit one another; they are checked one by one before."""

    def set_plain(self, name: str, value: Any) -> None:
        """Replace a field within ``check()`` by its plain form.

        Args:
            name: The field.
            value: Its plain form.
        """
        object.__setattr__(self, name, value)

    def replace(self, **changes: Any) -> Any:
        """The same settings but for some, checked anew.

        Args:
            changes: New values by field.
        """
        return dataclasses.replace(self, **changes)


@functools.cache
def _checkers(kind: Any) -> dict[str, Checker]:
    """The checkers of the fields of a class of settings."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: hints[name].__metadata__[0] for name in names if hasattr(hints[name], "__metadata__")}


class Setting:
    """An attribute of a metric that reads and replaces a field of its ``settings``."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, metric: Any, owner: type | None = None) -> Any:
        return self if metric is None else getattr(metric.settings, self.name)

    def __set__(self, metric: Any, value: Any) -> None:
        metric.settings = metric.settings.replace(**{self.name: value})


class Fixed:
    """An attribute of a metric that is part of its ``configuration``: fixed when the metric is made."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, metric: Any, owner: type | None = None) -> Any:
        return self if metric is None else metric.fixed[self.name]

    def __set__(self, metric: Any, value: Any) -> None:
        raise ValueError(f"{self.name}: fixed when a {type(metric).__name__} is made, since its state depends on it")


def fixed_names(kind: type) -> list[str]:
    """The attributes of a class that are :class:`Fixed`."""
    return [name for name in dir(kind) if isinstance(getattr(kind, name, None), Fixed)]
