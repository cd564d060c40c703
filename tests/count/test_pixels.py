import itertools
import random

import pytest
import torch
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix
from torch import Tensor

from benchmarks.launches import Launches
from detmetrics import ragged
from detmetrics.count import label_codes as codes
from detmetrics.count import pixels as counts

NAN = float("nan")
IGNORED = [(), (255,), (0,), (-1,), (-100, 0, 255), (70000,), (-9999, 255, 1)]
DTYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.float32, torch.float64]
DTYPES += [torch.float16, torch.bfloat16]


@pytest.fixture(params=["cpu", "cuda"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of counting, whatever the device."""
    monkeypatch.setattr(codes, "way", lambda tensor: request.param)
    monkeypatch.setattr(ragged, "reads_are_free", lambda device: request.param == "cpu")
    return request.param


def small_blocks(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for name in ("BLOCK", "BLOCK_SCORES"):
        monkeypatch.setattr(counts, name, {"cpu": size, "cuda": size})


def slow_confusion(preds: Tensor, target: Tensor, num_classes: int, ignored: tuple[int, ...]) -> Tensor:
    found = torch.zeros(len(target), num_classes + 1, num_classes, dtype=torch.int64)
    for image, (p_image, t_image) in enumerate(zip(preds, target, strict=True)):
        for p, t in zip(p_image.flatten().tolist(), t_image.flatten().tolist(), strict=True):
            found[image, num_classes if t in ignored else int(t), int(p)] += 1
    return found


def holds(values: Tensor, dtype: torch.dtype) -> bool:
    return bool((values.to(dtype).double() == values.double()).all())


def label_maps(rng: random.Random, ignored: tuple[int, ...]) -> tuple[Tensor, Tensor, int]:
    num_classes = rng.choice([2, 3, 7, 40])
    shape = (rng.choice([1, 2, 9]), *rng.choice([(), (1,), (5,), (3, 4), (2, 3, 2), (150,)]))
    target = torch.randint(0, num_classes, shape)
    for value in ignored:
        target[torch.rand(shape) < 0.2] = value
    return torch.randint(0, num_classes, shape), target, num_classes


@pytest.mark.parametrize("ignored", IGNORED, ids=str)
@pytest.mark.parametrize("block", [7, 64, 1 << 17])
def test_labels_equal_a_loop(way: str, ignored: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, block)
    rng = random.Random(block)
    torch.manual_seed(block)
    for dtype in DTYPES:
        preds, target, num_classes = label_maps(rng, ignored)
        given = target.to(dtype) if holds(target, dtype) else target
        expected = slow_confusion(preds, target, num_classes, ignored)
        found = counts.count_labels(preds.to(rng.choice(DTYPES)), given, num_classes, ignored, per_image=True)
        assert torch.equal(found.confusion, expected)
        assert found.invalid.tolist() == [0, 0]
        assert found.confusion.dtype == torch.int64
        pooled = counts.count_labels(preds, given, num_classes, ignored, per_image=False)
        assert torch.equal(pooled.confusion, expected.sum(dim=0))


def test_bool_labels(way: str) -> None:
    preds, target = torch.tensor([[True, False, True]]), torch.tensor([[True, True, False]])
    found = counts.count_labels(preds, target, 2, per_image=False)
    assert found.confusion.tolist() == [[0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
def test_the_first_of_the_largest_scores_counts(way: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, 50)
    generator = torch.Generator().manual_seed(0)
    for num_classes, shape in itertools.product([1, 3, 300], [(2,), (2, 5), (3, 4, 5)]):
        scores = torch.randint(0, 3, (shape[0], num_classes, *shape[1:]), generator=generator).to(dtype)  # many ties
        target = torch.randint(0, num_classes, shape, generator=generator)
        expected = scores.float().argmax(dim=1)
        by_scores = counts.count_labels(scores, target, num_classes, per_image=True)
        by_labels = counts.count_labels(expected, target, num_classes, per_image=True)
        assert torch.equal(by_scores.confusion, by_labels.confusion)


def test_infinite_scores_and_channels_last(way: str) -> None:
    scores = torch.randn(2, 3, 4, 5)
    scores[0, 1] = float("inf")
    scores[0, 0, 0] = float("inf")
    scores[1] = float("-inf")
    target = torch.randint(0, 3, (2, 4, 5))
    found = counts.count_labels(scores.to(memory_format=torch.channels_last), target, 3, per_image=False)
    assert torch.equal(found.confusion[:3], torch.from_numpy(sklearn_matrix(scores.argmax(1), target, 3)))
    assert found.invalid.tolist() == [0, 0]


def sklearn_matrix(preds: Tensor, target: Tensor, num_classes: int):
    return confusion_matrix(target.flatten(), preds.flatten(), labels=range(num_classes))


@pytest.mark.parametrize(
    ("preds", "target", "invalid"),
    [
        ([[3, -1]], [[0, 1]], [2, 0]),
        ([[0, 1]], [[7, -1]], [0, 2]),
        ([[0.5, 1.0]], [[0, 1]], [1, 0]),
        ([[NAN, float("inf")]], [[0.0, -0.0]], [2, 0]),
        ([[0, 0]], [[10**12, -(10**12)]], [0, 2]),
        ([[0, 255]], [[255, 0]], [1, 0]),  # only the target decides what is ignored
        ([[9, 9]], [[255, 255]], [2, 0]),  # labels are labels on ignored pixels too
        ([[[0.1, NAN], [0.9, 0.1], [0.0, 0.0]]], [[0, 1]], [1, 0]),  # scores
    ],
)
def test_invalid_labels_are_counted_apart(way: str, preds: list, target: list, invalid: list[int]) -> None:
    found = counts.count_labels(torch.tensor(preds), torch.tensor(target), 3, (255,), per_image=False)
    assert found.invalid.tolist() == invalid
    assert found.confusion.sum() == 2 - sum(invalid)


def test_other_values_than_near_ones_are_not_ignored(way: str) -> None:
    target = torch.tensor([[-9999, -9998, 254, 255, 256, 70000, 70001, 0]])
    found = counts.count_labels(torch.zeros_like(target), target, 2, (-9999, 255, 70000), per_image=False)
    assert found.confusion.tolist() == [[1, 0], [0, 0], [3, 0]]
    assert found.invalid.tolist() == [0, 4]


def slow_masks(preds: Tensor, target: Tensor, ignored: tuple[int, ...]) -> Tensor:
    found = torch.zeros(*target.shape[:2], 4, dtype=torch.int64)
    for image, c in itertools.product(*map(range, target.shape[:2])):
        for p, t in zip(preds[image, c].flatten().tolist(), target[image, c].flatten().tolist(), strict=True):
            if t not in ignored:
                found[image, c, {(1, 1): 0, (1, 0): 1, (0, 1): 2, (0, 0): 3}[int(p), int(t)]] += 1
    return found


@pytest.mark.parametrize("ignored", [(), (255,), (0,), (1,), (-1, 255), (70000, 255)], ids=str)
@pytest.mark.parametrize("block", [150, 1 << 17])
def test_masks_equal_a_loop(way: str, ignored: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, block)
    torch.manual_seed(block)
    for dtype, shape in itertools.product(DTYPES, [(3, 2), (2, 1, 5), (2, 3, 20, 31)]):
        target = torch.randint(0, 2, shape)
        for value in ignored:
            target[torch.rand(shape) < 0.2] = value
        scores = torch.randint(0, 5, shape) / 4  # some are at the threshold
        expected = slow_masks(scores >= 0.5, target, ignored)
        given = target.to(dtype) if holds(target, dtype) else target
        for preds in (scores, scores.half(), scores.double(), scores >= 0.5, (scores >= 0.5).to(torch.uint8)):
            found = counts.count_masks(preds, given, ignored)
            assert torch.equal(found.counts, expected)
            assert found.invalid.tolist() == [0, 0]


def test_masks_equal_scikit_learn(way: str) -> None:
    generator = torch.Generator().manual_seed(3)
    preds, target = (torch.randint(0, 2, (50, 4), generator=generator) for _ in range(2))
    tn, fp, fn, tp = torch.from_numpy(multilabel_confusion_matrix(target, preds)).flatten(1).unbind(dim=1)
    found = counts.count_masks(preds, target).counts.sum(dim=0)
    assert torch.equal(found, torch.stack([tp, fp, fn, tn], dim=1))


@pytest.mark.parametrize("bad", [NAN, -0.01, 1.01, float("inf")])
def test_scores_out_of_bounds(way: str, bad: float) -> None:
    scores, target = torch.tensor([[[0.5, bad]]]), torch.tensor([[[0, 1]]])
    assert counts.count_masks(scores, target).invalid.tolist() == [1, 0]
    as_logits = counts.count_masks(scores, target, threshold=0.0, bounds=(float("-inf"), float("inf")))
    assert as_logits.invalid.tolist() == [int(bad != bad), 0]


@pytest.mark.parametrize("bad", [2, -1, 255])
def test_masks_that_are_no_masks(way: str, bad: int) -> None:
    good, wrong = torch.tensor([[[0, 1]]]), torch.tensor([[[0, bad]]])
    assert counts.count_masks(wrong, good).invalid.tolist() == [1, 0]
    assert counts.count_masks(good, wrong).invalid[1] > 0
    assert counts.count_masks(good, wrong, ignored=(7,)).invalid.tolist() == [0, 1]
    assert counts.count_masks(good, torch.tensor([[[0.5, 1.0]]])).invalid[1] > 0


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0), (2, 3, 0)])
def test_nothing_to_count(way: str, shape: tuple[int, ...]) -> None:
    empty = torch.zeros(shape, dtype=torch.int64)
    assert counts.count_labels(empty, empty, 3, (255,), per_image=True).confusion.shape == (shape[0], 4, 3)
    assert counts.count_masks(empty, empty).counts.sum() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_more_pixels_than_a_float_counts(dtype: torch.dtype) -> None:
    ones = torch.ones(1, 5000, 5000, dtype=dtype)
    found = counts.count_labels(ones, ones, 2, per_image=False).confusion
    assert counts.counts_of(found).tolist() == [[0, 0, 0, 25_000_000], [25_000_000, 0, 0, 0]]
    assert counts.count_masks(ones[:, None], ones[:, None]).counts.tolist() == [[[25_000_000, 0, 0, 0]]]


@pytest.mark.parametrize("ignored", [(), (255,), (0, 70000)], ids=str)
def test_nothing_is_read_from_the_device(ignored: tuple[int, ...]) -> None:
    labels = torch.empty((2, 8, 8), dtype=torch.int64, device="meta")
    scores = torch.empty((2, 3, 8, 8), device="meta")
    masks = torch.empty((2, 3, 8, 8), dtype=torch.uint8, device="meta")
    with Launches() as launches:
        for per_image in (True, False):
            for preds in (labels, scores, labels.to(torch.uint8)):
                confusion = counts.count_labels(preds, labels, 3, ignored, per_image=per_image).confusion
                counts.counts_of(confusion)
        counts.count_masks(scores, masks, ignored)
    assert not launches.reads
