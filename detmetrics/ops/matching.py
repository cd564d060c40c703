"""COCO's greedy matching from overlaps, for many thresholds and area ranges at once.

Greedy matching lets the detections choose in order of score. All targets therefore rank detections alike, the greedy
matching is the only stable one, and deferred acceptance finds it for all detections in parallel: every detection
proposes to the best target that it still may have, and every target strikes out all detections scored below the best
proposer. A detection that was struck out can never come back, and one that is the best proposer stays until a better
one comes, so the loop ends when nobody is refused. Each setting (a threshold in an area range) is one bit of an int64
word, so that a round settles up to 63 settings with AND, OR and prefix-ORs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.ops.ragged import descending_key, lexsort, rank_in_run, run_starts

BITS = 63  # settings in a word; the sign bit is left alone
MAX_ROUNDS = 16  # then the rest is finished on the host, see _accept_serially


def greedy_match(
    detection: Tensor, target: Tensor, iou: Tensor, counted: Tensor, ignored: Tensor, shared: Tensor
) -> Tensor:
    """Match detections to targets as pycocotools does, for every bit by itself.

    A detection takes the free counted target with the largest overlap; of equal overlaps the later target. If there is
    none, it takes an ignored target by the same rule; a shared one (a crowd) is never used up.

    Args:
        detection: ``(E,)`` int64. A smaller index chooses first, among detections that compete for a target.
        target: ``(E,)`` int64.
        iou: ``(E,)`` float64.
        counted: ``(E,)`` int64 words: the bits under which the overlap suffices and the target counts.
        ignored: ``(E,)`` int64 words: the bits under which it suffices and the target is ignored.
        shared: ``(E,)`` bool: the target can be taken any number of times.

    Returns:
        ``(E,)`` int64 words: the bits under which this detection takes this target.

    Source: pycocotools ``COCOeval.evaluateImg``.
    """
    if not len(detection):
        return counted
    by_choice = lexsort(detection, descending_key(iou), -target)
    detection, target, shared = (x.index_select(0, by_choice) for x in (detection, target, shared))
    counted, ignored = (x.index_select(0, by_choice) for x in (counted, ignored))

    choosers = Segments(run_starts(detection))
    suitors_order = lexsort(target, detection)
    suitors = Segments(run_starts(target.index_select(0, suitors_order)))

    nobody = torch.zeros_like(shared)
    taken = _accept(counted, nobody, choosers, suitors, suitors_order)
    left_over = ignored & ~choosers.any(taken)
    taken = taken | _accept(left_over, shared, choosers, suitors, suitors_order)
    return torch.empty_like(taken).index_copy_(0, by_choice, taken)


class Segments:
    """Runs of neighbouring rows, and OR over the words within a run.

    Args:
        starts: ``(E,)`` bool, True at the first row of each run.
    """

    def __init__(self, starts: Tensor) -> None:
        self.run = starts.cumsum(0) - 1  # (E,)
        self.last = starts.roll(-1).nonzero().squeeze(1)  # (runs,), the row before the next start; row 0 is one
        rank = rank_in_run(starts)
        self.longest = int(rank.max()) + 1
        # same[k] says whether the row 2**k further up belongs to the same run
        self.same = [rank >= 1 << k for k in range((self.longest - 1).bit_length())]

    def before(self, words: Tensor) -> Tensor:
        """OR of the words above a row in its run, ``(E,)``; 0 for the first."""
        zero = words.new_zeros(())
        if not self.same:
            return torch.zeros_like(words)
        above = torch.where(self.same[0], words.roll(1), zero)
        for k, same in enumerate(self.same):
            above = above | torch.where(same, above.roll(1 << k), zero)
        return above

    def any(self, words: Tensor) -> Tensor:
        """OR of all the words of a row's run, ``(E,)``."""
        up_to = self.before(words) | words
        return up_to.index_select(0, self.last).index_select(0, self.run)


def _accept(words: Tensor, shared: Tensor, choosers: Segments, suitors: Segments, suitors_order: Tensor) -> Tensor:
    """Deferred acceptance: the bits of ``words`` that end up as matches, rows in order of choice."""
    exclusive = ~shared.index_select(0, suitors_order)
    for _ in range(MAX_ROUNDS):
        proposals = words & ~choosers.before(words)
        courting = proposals.index_select(0, suitors_order)
        refused = torch.where(exclusive, suitors.before(courting), 0)  # a better-scored detection proposes there
        if not bool((courting & refused).any()):
            return proposals
        words = words & ~torch.empty_like(words).index_copy_(0, suitors_order, refused)
    target = torch.empty_like(words).index_copy_(0, suitors_order, suitors.run)
    return _accept_serially(words, shared, choosers.run, target)


def _accept_serially(words: Tensor, shared: Tensor, detection: Tensor, target: Tensor) -> Tensor:
    """The same by letting one detection choose after the other, on the host; each overlap is touched once."""
    columns = (x.tolist() for x in (words, shared, detection, target))
    taken: dict[int, int] = {}
    matches, chooser, wanted = [], -1, 0
    for word, is_shared, det, tgt in zip(*columns, strict=True):
        if det != chooser:
            chooser, wanted = det, -1
        match = word & wanted if is_shared else word & wanted & ~taken.get(tgt, 0)
        wanted &= ~match
        if not is_shared:
            taken[tgt] = taken.get(tgt, 0) | match
        matches.append(match)
    return torch.tensor(matches, dtype=torch.int64, device=words.device)
