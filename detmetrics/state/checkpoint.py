"""States in a ``state_dict``: what is taken from it, and which rank goes on with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch

SAVED_BY = "saved_by_rank"  # key in a state_dict


def taken_from(state_dict: dict[str, Any], prefix: str, states: Iterable[str]) -> tuple[dict[str, Any], int]:
    """Remove the states of a metric, and the rank that saved them."""
    found = {state: state_dict.pop(prefix + state) for state in states if prefix + state in state_dict}
    return found, int(state_dict.pop(prefix + SAVED_BY, torch.tensor(0)))


def is_own(name: str, saved_by: int, rank: int | None) -> bool:
    """Whether this rank goes on with a state: a checkpoint of one rank, read by all, must not be counted by all."""
    if rank in (None, saved_by):
        return True
    warnings.warn(
        f"{name}: rank {saved_by} saved this state, and only that rank goes on with it; rank {rank} starts empty",
        stacklevel=4,
    )
    return False


def has_other_states(state_dict: Mapping[str, Any], prefix: str, base_names: set[str]) -> bool:
    """Whether there are states of the same names, but of another configuration."""
    left = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
    return any(key in base_names or key.rpartition("_")[0] in base_names for key in left)
