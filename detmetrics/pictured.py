"""Kinds of metrics that are drawn alike: scores, reports and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detmetrics import checks, plot
from detmetrics.metric import Metric


class PicturedScore(Metric):
    """One score: a point, or a bar a class with ``average="none"``."""

    average: str

    def _followed(self, result: Any, **choice: Any) -> Any:
        return self._numbers(result, self._drawn_names()[1])

    def _plot_label(self, **choice: Any) -> str:
        return plot.label_of(self._drawn_names()[0])

    def _draw(self, val: Any, ax: Any, **choice: Any) -> tuple[Any, Any]:
        if val is not None or self.average != "none":
            return plot.score(self._followed(self.compute() if val is None else val), None, self._plot_label(), ax)
        support = self._support()
        return plot.score(self._numbers(self.compute(), list(support)), support, self._plot_label(), ax)

    def _numbers(self, result: Any, class_names: list[str] | None) -> Any:
        return plot.numbers(result, class_names, f"{self._drawn_names()[0]}/" if isinstance(result, Mapping) else "")

    def _drawn_names(self) -> tuple[str, list[str] | None]:
        """The name of the score, which its keys begin with, and those of the classes if they are declared."""
        raise NotImplementedError

    def _support(self) -> dict[str, int]:
        """How often each class is in the targets."""
        raise NotImplementedError


class PicturedReport(Metric):
    """Scores of each class and their averages: ``<score>/<name>``, ``support/<name>``, ``<score>_<average>``."""

    plotted_scores: tuple[str, ...] = ("precision", "recall", "f1")
    plotted_first = "f1"

    def plot(self, val: Any = None, ax: Any = None, *, score: str | None = None) -> tuple[Any, Any]:
        """Draw a score of each class with its support, or over several results the averages of the score.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one an epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.
            score: ``"f1"``, ``"precision"``, ``"recall"``, and of a segmentation ``"iou"``, which is its default;
                otherwise that is ``"f1"``.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``score`` is none of these, or ``val`` is no such result.

        Example:
            >>> import torch
            >>> from detmetrics import SegmentationReport
            >>> metric = SegmentationReport(class_names=["road", "sky"])
            >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 1]]))
            >>> fig, ax = metric.plot()
            >>> ax.get_xlabel(), [text.get_text() for text in ax.get_yticklabels()]
            ('IoU (dashed: mean 0.583)', ['sky', 'road'])
        """
        score = self.plotted_first if score is None else score
        checks.check_choice("score", score, self.plotted_scores)
        return self._show(val, ax, score=score)

    def _followed(self, result: Any, *, score: str) -> Any:  # type: ignore[override]
        return plot.averages(result, score)

    def _plot_label(self, *, score: str) -> str:  # type: ignore[override]
        return plot.label_of(score)

    def _draw(self, val: Any, ax: Any, *, score: str) -> tuple[Any, Any]:  # type: ignore[override]
        return plot.report_bars(self.compute() if val is None else val, score, ax)


class PicturedMatrix(Metric):
    """A confusion matrix."""

    def _followed(self, result: Any, **choice: Any) -> Any:
        return plot.diagonal_share(result)

    def _plot_label(self, **choice: Any) -> str:
        return "Share on the diagonal"

    def _draw(self, val: Any, ax: Any, **choice: Any) -> tuple[Any, Any]:
        return plot.confusion_matrix(self.compute() if val is None else val, self._drawn_classes(), ax)

    def _drawn_classes(self) -> list[str]:
        """The names of the classes."""
        raise NotImplementedError
