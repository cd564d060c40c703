"""Random sequences of everything that can be done to a metric: in the end it has what its images give at once."""

import pickle
import random
import threading
from typing import Any

import pytest

from detmetrics import DetectionF1Score, DetectionReport, MeanAveragePrecision
from tests.detection.test_laws import NAMES, assert_same_bits
from tests.problems import Item, random_problem

Images = list[tuple[Item, Item]]
KINDS: tuple[tuple[Any, dict[str, Any], str, tuple[Any, ...]], ...] = (
    (MeanAveragePrecision, {"class_metrics": True}, "iou_thresholds", ([0.5], [0.75, 0.5], [0.2])),
    (DetectionF1Score, {"average": "macro"}, "score_threshold", (0.2, 0.5, 0.8)),
    (DetectionReport, {"class_names": NAMES, "pairs": "all"}, "iou_threshold", (0.3, 0.5, 0.9)),
)


def images_of(seed: int) -> Images:
    """Images with ids of their own."""
    found: Images = []
    for part in range(6):
        problem = random_problem(1000 * seed + part, images=8, image_ids=True, plain=True)
        for preds, target in zip(problem.preds, problem.target, strict=True):
            found.append((preds, {**target, "image_id": len(found)}))
    return found


def split(images: Images) -> tuple[list[Item], list[Item]]:
    return [preds for preds, _ in images], [target for _, target in images]


class Sequence:
    """A metric, and the images and settings that it should have."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.kind, self.arguments, self.attribute, self.values = self.rng.choice(KINDS)
        self.metric = self.kind(**self.arguments)
        self.left, self.seen, self.assigned = images_of(seed), [], {}
        self.operations = [name for name in dir(self) if name.startswith("do_")]

    def batch(self) -> Images:
        taken = [self.left.pop() for _ in range(min(self.rng.randint(0, 3), len(self.left)))]
        self.seen += taken
        return taken

    def do_update(self) -> None:
        self.metric.update(*split(self.batch()))

    def do_forward(self) -> None:
        self.metric(*split(self.batch()))

    def do_merge(self) -> None:
        other = self.kind(**self.arguments)
        other.update(*split(self.batch()))
        self.metric.merge_state(other)

    def do_save_and_load(self) -> None:
        self.metric.persistent(True)
        state = self.metric.state_dict()
        self.metric = self.kind(**self.arguments)
        self.metric.load_state_dict(state)
        for name, value in self.assigned.items():
            setattr(self.metric, name, value)

    def do_pickle(self) -> None:
        self.metric = pickle.loads(pickle.dumps(self.metric))

    def do_clone(self) -> None:
        original, self.metric = self.metric, self.metric.clone()
        original.reset()

    def do_compute(self) -> None:
        if self.metric.update_called:
            self.metric.compute()

    def do_assign(self) -> None:
        value = self.rng.choice(self.values)
        setattr(self.metric, self.attribute, value)
        self.assigned[self.attribute] = value

    def do_reset(self) -> None:
        if self.rng.random() < 0.2:
            self.metric.reset()
            self.seen = []

    def do_reject(self) -> None:
        with pytest.raises(ValueError, match="same length"):
            self.metric.update([], [{}])

    def check(self) -> None:
        expected = self.kind(**{**self.arguments, **self.assigned})
        for metric in (self.metric, expected):
            metric.update([], [])
        expected.update(*split(self.seen))
        assert_same_bits(self.metric.compute(), expected.compute())
        assert self.metric.num_images == len(self.seen)


@pytest.mark.parametrize("block", range(4))
def test_any_sequence_gives_what_its_images_give_at_once(block: int) -> None:
    for seed in range(15 * block, 15 * (block + 1)):
        sequence = Sequence(seed)
        for _ in range(25):
            getattr(sequence, sequence.rng.choice(sequence.operations))()
        sequence.check()


def test_two_threads_that_do_anything_lose_nothing() -> None:
    for seed in range(4):
        images = images_of(100 + seed)
        metric = DetectionF1Score(average="macro")
        errors: list[BaseException] = []

        def work(part: Images, rng: random.Random, metric: Any = metric, errors: Any = errors) -> None:
            try:
                for image in part:
                    if rng.random() < 0.5:
                        metric.update(*split([image]))
                    else:
                        metric(*split([image]))
                    if rng.random() < 0.2:
                        metric.compute()
                    metric.score_threshold = rng.choice((0.3, 0.5))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(images[i::2], random.Random(i))) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        metric.score_threshold = 0.4
        expected = DetectionF1Score(average="macro", score_threshold=0.4)
        expected.update(*split(images))
        assert_same_bits(metric.compute(), expected.compute())
        assert metric.num_images == len(images)
