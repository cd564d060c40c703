"""Facts of an image about classes: verified to be there or not, or not labelled exhaustively.

A fact is kept as a row of targets without geometry, behind the targets of its image. So it goes wherever these go, and
is part of what tells two images with the same id apart. Readers get facts apart from targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.match.evaluation_data import ABSENT, NOT_EXHAUSTIVE, PRESENT
from detmetrics.overlap.sides import check_real, get_tensor
from detmetrics.overlap.similarity import Items
from detmetrics.ragged import constants

KEYS = {"neg_category_ids": ABSENT, "pos_category_ids": PRESENT, "not_exhaustive_category_ids": NOT_EXHAUSTIVE}


def with_facts(rows: Tensor, counts: Sequence[int], items: Items) -> tuple[Tensor, list[int], Tensor | None]:
    """The targets of a batch with the facts of their images behind them; nothing is read back from the device.

    Args:
        rows: ``(M, W)`` int64, the last columns label and flags.
        counts: How many of them each image has.
        items: One dict per image, with labels (K,) of any number under the :data:`KEYS`.

    Returns:
        The rows with the facts, how many of these each image has, and the place of each target among them ``(M,)``,
        or None if there are no facts.

    Raises:
        ValueError: if a key has no integers in one dimension, naming the image.
    """
    given = [(key, i) for key in KEYS for i, item in enumerate(items) if item.get(key) is not None]
    if not given:
        return rows, list(counts), None
    labels = [_labels(f"target[{i}]", items[i], key, rows.device) for key, i in given]
    lengths = [len(own) for own in labels]
    facts = rows.new_zeros((sum(lengths), rows.shape[1]))
    facts[:, -2] = torch.cat(labels)
    facts[:, -1] = _repeated([KEYS[key] for key, _ in given], lengths).to(rows.device, non_blocking=True)
    image = torch.cat([_repeated(range(len(counts)), counts), _repeated([i for _, i in given], lengths)])
    order = image.sort(stable=True).indices
    place = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order)))[: len(rows)]
    order, place = (x.to(rows.device, non_blocking=True) for x in (order, place))
    together = torch.cat([rows, facts]).index_select(0, order)
    both = list(counts)
    for (_, i), length in zip(given, lengths, strict=True):
        both[i] += length
    return together, both, place


def _repeated(values: Sequence[int], times: Sequence[int]) -> Tensor:
    """Each value so many times, int64 on the host."""
    host = torch.device("cpu")
    each, counts = (constants(list(x), host, torch.int64) for x in (values, times))
    return torch.repeat_interleave(each, counts, output_size=sum(times))


def _labels(where: str, item: Any, key: str, device: torch.device) -> Tensor:
    """The labels under a key, ``(K,)`` int64."""
    labels = get_tensor(where, item, key)
    if labels.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=device)
    if labels.ndim != 1:
        raise ValueError(
            f"{where}[{key!r}]: expected shape (K,), the labels of any K classes, got {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"{where}[{key!r}]: expected an integer dtype, got {labels.dtype}; give {key}.long()")
    check_real(where, key, labels, device)
    return labels.to(torch.int64)
