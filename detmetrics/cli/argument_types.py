"""Texts of arguments into their values. Nothing here imports torch unless a device is given."""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SIGMAS = ("coco", "crowdpose", "wholebody")
LARGEST = 2**31 - 1  # of counts
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.isdecimal() or len(text) > 20 or not 1 <= int(text) <= LARGEST:
        bound = f", at most {LARGEST}" if text.isdecimal() and text.strip("0") else ""
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more{bound}, got {shortened(text)!r}")
    return int(text)


def seed(text: str) -> int:
    """A whole number of 0 or more."""
    with contextlib.suppress(ValueError):
        if 0 <= int(text) < 2**63:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2**63 - 1, got {shortened(text)!r}")


def size(text: str) -> int:
    """Bytes, from a number that may have a unit."""
    number, unit = (text[:-2], text[-2:].upper()) if text[-2:].upper() in UNITS else (text, "")
    if number.isdecimal() and len(number) <= 20 and 1 <= int(number) * UNITS[unit] < 2**63:
        return int(number) * UNITS[unit]
    raise argparse.ArgumentTypeError(
        f"expected a size such as 4GB, 500MB or a number of bytes, got {shortened(text)!r}"
    )


def shortened(text: str) -> str:
    """A text that is not too long for a line."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def fraction(text: str) -> float:
    """A number in [0, 1]."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in [0, 1], got {text!r}")


def sigma(text: str) -> str | float:
    """The name of a set of sigmas, or one of several."""
    if text in SIGMAS:
        return text
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(
        f"expected one of {', '.join(SIGMAS)} or positive numbers, got {shortened(text)!r}"
    )


def shard(text: str) -> tuple[int, int]:
    """Which part of how many, from 0 on."""
    index, slash, count = text.partition("/")
    with contextlib.suppress(ValueError):
        if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count) <= LARGEST:
            return int(index), int(count)
    raise argparse.ArgumentTypeError(f"expected I/N with 0 <= I < N, such as 0/4, got {shortened(text)!r}")


def device(text: str) -> torch.device:
    """A device that can be used."""
    import torch

    if text == "cuda" and "LOCAL_RANK" in os.environ:
        text = f"cuda:{os.environ['LOCAL_RANK']}"  # under torchrun, one GPU per rank
    try:
        return torch.empty(0, dtype=torch.float64, device=text).device
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected a usable device, got {text!r}: {error}".splitlines()[0]) from error
