"""Greedy matching against one setting, one detection and one overlap at a time."""

import random
from collections.abc import Sequence

import pytest
import torch

from detmetrics.match import greedy as matching

NUM_BITS = 5
Problem = tuple[list[int], list[int], list[float], list[int], list[int], list[bool]]


def random_problem(rng: random.Random) -> Problem:
    """Few detections and targets, equal overlaps on purpose, crowds, and targets ignored under some settings."""
    num_detections, num_targets = rng.randint(1, 9), rng.randint(1, 6)
    pairs = [(d, t) for d in range(num_detections) for t in range(num_targets) if rng.random() < 0.7]
    rng.shuffle(pairs)
    crowd = [rng.random() < 0.3 for _ in range(num_targets)]
    counts = [0 if is_crowd else rng.getrandbits(NUM_BITS) for is_crowd in crowd]
    suffices = [rng.getrandbits(NUM_BITS) for _ in pairs]
    return (
        [d for d, _ in pairs],
        [t for _, t in pairs],
        [rng.choice([0.5, 0.6, 0.7]) for _ in pairs],
        [word & counts[t] for word, (_, t) in zip(suffices, pairs, strict=True)],
        [word & ~counts[t] for word, (_, t) in zip(suffices, pairs, strict=True)],
        [crowd[t] for _, t in pairs],
    )


def obvious_match(problem: Problem) -> list[int]:
    detection, target, iou, counted, ignored, shared = problem
    matches = [0] * len(detection)
    for bit in range(NUM_BITS):
        taken: set[int] = set()
        for d in sorted(set(detection)):
            for words in (counted, ignored):
                free = [
                    e
                    for e in range(len(detection))
                    if detection[e] == d and words[e] >> bit & 1 and (target[e] not in taken or shared[e])
                ]
                if free:
                    best = max(free, key=lambda e: (iou[e], target[e]))
                    matches[best] |= 1 << bit
                    taken.add(target[best])
                    break
    return matches


def our_match(problem: Problem) -> list[int]:
    detection, target, iou, *words, shared = problem
    integers = (torch.tensor(x, dtype=torch.int64) for x in (detection, target))
    words = (torch.tensor(x, dtype=torch.int64) for x in words)
    return matching.greedy_match(
        *integers, torch.tensor(iou, dtype=torch.float64), *words, torch.tensor(shared, dtype=torch.bool)
    ).tolist()


@pytest.mark.parametrize("dense", [0, 4, 8, 1 << 13])
@pytest.mark.parametrize("rounds", [0, 1, 2, 16])
def test_the_obvious_loop_for_any_number_of_rounds(rounds: int, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 rounds leave all to the serial finisher, 16 nothing; 1 and 2 hand over half-way. Groups of ``dense`` overlaps,
    some or all of them, are matched one detection after the other."""
    monkeypatch.setattr(matching, "MAX_ROUNDS", rounds)
    monkeypatch.setattr(matching, "DENSE", dense)
    rng = random.Random(rounds)
    for _ in range(500):
        problem = random_problem(rng)
        assert our_match(problem) == obvious_match(problem)


def test_equal_overlaps_go_to_the_later_target() -> None:
    assert our_match(([0, 0], [3, 8], [0.6, 0.6], [1, 1], [0, 0], [False, False])) == [0, 1]


def test_a_counted_target_goes_before_an_ignored_one() -> None:
    assert our_match(([0, 0], [0, 1], [0.5, 0.9], [1, 0], [0, 1], [False, False])) == [1, 0]


def test_a_crowd_is_never_used_up_and_an_ignored_target_is() -> None:
    three_detections = [0, 1, 2]
    assert our_match((three_detections, [0] * 3, [0.6] * 3, [0] * 3, [1] * 3, [True] * 3)) == [1, 1, 1]
    assert our_match((three_detections, [0] * 3, [0.6] * 3, [0] * 3, [1] * 3, [False] * 3)) == [1, 0, 0]


def chain(length: int) -> Problem:
    """Detection d prefers target d - 1, which the one before it has taken, and falls back on target d."""
    overlaps = [(d, t, 0.9 if t < d else 0.6) for d in range(length) for t in (d - 1, d) if t >= 0]
    detection, target, iou = (list(column) for column in zip(*overlaps, strict=True))
    return detection, target, iou, [1] * len(iou), [0] * len(iou), [False] * len(iou)


def test_a_row_of_boxes_needs_the_serial_finisher(monkeypatch: pytest.MonkeyPatch) -> None:
    finished: list[int] = []
    serially = matching._accept_serially

    def spy(words: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        finished.append(len(words))
        return serially(words, *rest)

    monkeypatch.setattr(matching, "_accept_serially", spy)
    length = 4 * matching.MAX_ROUNDS
    problem = chain(length)
    matches = our_match(problem)
    # Each detection ends up with its own target: detection 0 has no other, so 1 cannot have target 0, and so on.
    assert [t for t, match in zip(problem[1], matches, strict=True) if match] == list(range(length))
    assert finished == [len(problem[0])]


def test_nothing_to_match() -> None:
    empty: Sequence[int] = []
    assert our_match(([], [], [], list(empty), [], [])) == []
