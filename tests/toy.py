"""The smallest metric that uses all of the base class: rows, keyed rows, totals, work put off to ``settle()``."""

from typing import Any

import torch
from torch import Tensor

from detmetrics.state.metric import Metric

CURSED = 13  # compute() fails while one of the numbers is this one


class Toy(Metric):
    """Numbers as keyed rows (order of arrival, number, its square), and sums (how many, their total)."""

    def __init__(self, configuration: str | None = None, **kwargs: Any) -> None:
        super().__init__(configuration, **kwargs)
        self.add_rows("waiting", 1)
        self.add_rows("numbers", 3, keyed=True)
        self.add_totals("sums", (2,))

    def update(self, numbers: Tensor) -> None:
        if bool((numbers < 0).any()):
            raise ValueError(f"numbers: expected none below 0, got {numbers.tolist()}")
        numbers = numbers.long()
        self.append("waiting", numbers[:, None])
        self.add("sums", torch.stack([torch.tensor(len(numbers)), numbers.sum()]))

    def settle(self) -> None:
        if self.num_rows("waiting"):
            start = self.num_rows("numbers")
            numbers = self.rows("waiting")
            self.clear_rows("waiting")
            arrival = torch.iinfo(torch.int64).min + start + torch.arange(len(numbers))
            self.append("numbers", torch.cat([arrival[:, None], numbers, numbers**2], dim=1))

    def compute(self) -> dict[str, Tensor]:
        rows = self.rows("numbers")
        rows = rows[rows[:, 0].argsort()]
        if bool((rows[:, 1] == CURSED).any()):
            raise RuntimeError(f"{CURSED} is among the numbers")
        count, total = self.totals("sums")
        return {"count": count, "sum": total, "squares": rows[:, 2].sum(), "numbers": rows[:, 1], "half": total / 2}


def numbers_of(metric: Toy) -> list[int]:
    """What the metric holds now, in order of arrival."""
    found: list[int] = metric.compute()["numbers"].tolist()
    return found


def numbers(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)
