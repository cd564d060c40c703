"""What the newest results should reach: ``python -m benchmarks.run --check`` prints what falls short."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import aligned


@dataclass(frozen=True)
class Ratio:
    """The seconds of a contender over those of another one of the same run, or of another run."""

    result: str  # the file in benchmarks/results, without its ending
    contender: str
    most: float
    base: str  # the other contender
    base_result: str = ""  # the file that has it, if it is another one

    @property
    def name(self) -> str:
        others = self.base if not self.base_result else f"{self.base} of {self.base_result}"
        return f"{self.result}: {self.contender} over {others}"

    def measured(self, results: Path) -> float | None:
        """The ratio of medians; None where one of them was not measured."""
        seconds = _seconds(results, self.result, self.contender)
        base = _seconds(results, self.base_result or self.result, self.base)
        return seconds / base if seconds and base else None


@dataclass(frozen=True)
class Call:
    """A figure of a single call on a GPU, from ``python -m benchmarks.gpu``."""

    call: str
    figure: str  # a field of benchmarks.gpu.Cost
    most: float

    @property
    def name(self) -> str:
        return f"calls-cuda: {self.call}: {self.figure}"

    def measured(self, results: Path) -> float | None:
        """The figure; None where it was not measured."""
        costs = {cost["name"]: cost for cost in _load(results / "calls-cuda.json").get("costs", [])}
        return costs.get(self.call, {}).get(self.figure)


STREAMED, ONE_CALL = "detmetrics, in batches", "detmetrics, one call"
BUSY = "busy_2"
UPDATE, COMPUTE = "update of 16 images", "compute of 5,000 images"
BESIDE_BUSY = (
    ("detection_map-cpu", STREAMED),
    ("detection_counts-cpu", STREAMED),
    ("instance_masks-cpu", "detmetrics"),
    ("segmentation_int64-cpu", "detmetrics"),
    ("segmentation_scores-cpu", "detmetrics"),
)
AIMS: tuple[Ratio | Call, ...] = (
    Ratio("detection_map-cpu", STREAMED, 0.4, "hotcoco StreamingEval, in batches"),
    Ratio("detection_map-cpu", ONE_CALL, 0.75, "ultrafast-pycocotools, one batch"),
    Ratio("detection_counts-cpu", STREAMED, 1.0, "ultrafast-pycocotools, in batches"),
    Ratio("detection_counts-cpu", ONE_CALL, 1.0, "ultrafast-pycocotools, one batch"),
    Ratio("detection_dense-cpu", STREAMED, 3.0, "pycocotools, one batch"),
    *(Ratio("detection_lvis-cpu", STREAMED, 1.0, f"{peer}, one batch") for peer in ("hotcoco", "vernier")),
    *(Ratio("keypoints-cpu", STREAMED, 1.0, peer) for peer in ("ultrafast-pycocotools", "hotcoco")),
    *(Ratio(f"{result}-{BUSY}", ours, 2.3, ours, result) for result, ours in BESIDE_BUSY),
    Ratio("detection_map-cuda", STREAMED, 0.05, "torchmetrics with faster-coco-eval, in batches"),
    *(
        Call(f"{metric}, {call}", figure, most)
        for metric, kernels, reads in (("MeanAveragePrecision", 600, 20), ("DetectionF1Score", 200, 15))
        for call, figure, most in (
            (UPDATE, "total_ms", 0.3),
            (UPDATE, "reads", 0),
            (COMPUTE, "total_ms", 10),
            (COMPUTE, "kernels", kernels),
            (COMPUTE, "reads", reads),
        )
    ),
)


def check(results: Path) -> bool:
    """Print every aim beside what was measured; whether one falls short."""
    rows = list(_rows(results))
    print(aligned([["what", "at most", "measured", ""], *rows]))
    return any(row[-1] == "falls short" for row in rows)


def _rows(results: Path) -> Iterator[list[str]]:
    for aim in AIMS:
        value = aim.measured(results)
        verdict = "not measured" if value is None else "reached" if value <= aim.most else "falls short"
        yield [aim.name, f"{aim.most:g}", "" if value is None else f"{value:.3g}", verdict]


def _seconds(results: Path, stem: str, contender: str) -> float | None:
    """The median over the rounds of a contender."""
    for found in _load(results / f"{stem}.json").get("contenders", []):
        if found["name"] == contender and found["rounds"]:
            return statistics.median(sum(run["phases"].values()) for run in found["rounds"])
    return None


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content
