"""The page of label maps: its tables say what was computed, and its pictures what is in the files."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from detmetrics import demo
from detmetrics.files.label_map_scores import LabelMapScores
from detmetrics.page.label_maps import render_label_maps
from detmetrics.page.map_pictures import OUTCOMES, colours_of, triple
from tests.page.pages import NAMES, Page, number

PREDS, TARGET = demo.generate_label_maps(15, len(NAMES) - 1, seed=2)  # the last class never occurs


def evaluated(**arguments: Any) -> LabelMapScores:
    scores = LabelMapScores(**{"class_names": NAMES, "ignore_index": [255], **arguments})
    scores.image_ids = {i: f"val/{i} <&" for i in range(len(TARGET))}
    for i, (pred, target) in enumerate(zip(PREDS, TARGET, strict=True)):
        scores.update(pred, target, i)
    return scores


def look(image: int) -> tuple[Tensor, Tensor]:
    return PREDS[image], TARGET[image]


@pytest.fixture(scope="module")
def scores() -> LabelMapScores:
    return evaluated()


@pytest.fixture(scope="module")
def text(scores: LabelMapScores) -> str:
    return render_label_maps(scores, title="<b>Cats</b> & dogs", look=look)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_tables_say_what_was_computed(scores: LabelMapScores, page: Page) -> None:
    results = {name: value.item() for name, value in scores.compute().items()}
    rows = page.rows("classes")
    assert [row[0] for row in rows] == NAMES
    for row in rows:
        expected = [results[f"{column}/{row[0]}"] for column in ("iou", "f1", "precision", "recall", "support")]
        assert [number(cell) for cell in row[1:]] == pytest.approx(expected, nan_ok=True)
    tiles = [words for tag, words in page.texts if tag == "dd"]
    shown = ("mean_iou", "mean_f1", "pixel_accuracy", "frequency_weighted_iou")
    assert tiles == [f"{results[name]:.3f}" for name in shown]


def test_confusions_are_the_largest_off_the_diagonal(page: Page) -> None:
    matrix = np.zeros((5, 5), np.int64)
    kept = TARGET != 255
    np.add.at(matrix, (TARGET[kept].numpy(), PREDS[kept].numpy()), 1)
    off = sorted((matrix[i, j] for i in range(5) for j in range(5) if i != j), reverse=True)
    rows = page.rows("confusion")
    assert [int(row[2]) for row in rows] == [value for value in off if value][: len(rows)]
    assert len(rows) == 12
    for target, prediction, times, share in rows:
        i, j = NAMES.index(target), NAMES.index(prediction)
        assert int(times) == matrix[i, j]
        assert float(share) == matrix[i, j] / matrix[i].sum()


def test_the_worst_images_come_first(page: Page) -> None:
    expected = []
    for i, (pred, target) in enumerate(zip(PREDS, TARGET, strict=True)):
        kept = target != 255
        ious = []
        for label in range(5):
            a, b = (pred == label) & kept, (target == label) & kept
            if (a | b).any():
                ious.append(((a & b).sum() / (a | b).sum()).item())
        wrong = int(((pred != target) & kept).sum())
        expected.append((sum(ious) / len(ious), f"val/{i} <&", 1 - wrong / int(kept.sum()), wrong))
    rows = page.rows("images")
    assert len(rows) == 12
    for row, (iou, name, accuracy, wrong) in zip(rows, sorted(expected), strict=False):
        assert row[0] == name
        assert [float(cell) for cell in row[1:]] == pytest.approx([iou, accuracy, wrong], rel=1e-6)


def pixels(source: str) -> Any:
    content = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_pictures_are_those_of_the_maps(page: Page) -> None:
    sources = page.attributes("img", "src")
    assert len(sources) == 36
    names = [row[0] for row in page.rows("images")]
    assert page.attributes("img", "alt")[:3] == [f"{names[0]}: {kind}" for kind in ("target", "prediction", "errors")]
    image = int(names[0].removeprefix("val/").removesuffix(" <&"))
    pred, target = PREDS[image].numpy(), TARGET[image].numpy()
    colours = colours_of(5, [255])
    table = np.zeros((256, 3), np.uint8)
    table[:5] = [colours.of(label) for label in range(5)]
    table[255] = OUTCOMES["not counted"]
    assert (pixels(sources[0]) == table[target]).all()
    assert (pixels(sources[1]) == table[pred]).all()
    outcome = np.where(target == 255, "not counted", np.where(pred == target, "right", "wrong"))
    assert all((pixels(sources[2])[outcome == name] == colour).all() for name, colour in OUTCOMES.items())


def test_names_are_text_and_nothing_is_loaded(text: str, page: Page) -> None:
    assert [words for tag, words in page.texts if tag == "h1"] == ["<b>Cats</b> & dogs"]
    assert not any(tag == "script" and attributes for tag, attributes in page.elements)
    assert all(source.startswith("data:image/png;base64,") for source in page.attributes("img", "src"))
    assert not [url for url in page.attributes("a", "href") if not url.startswith("#")]
    assert text == render_label_maps(evaluated(), title="<b>Cats</b> & dogs", look=look)


def test_void_predictions_are_a_column_of_the_matrix() -> None:
    scores = LabelMapScores(class_names=["a", "b"], void=True)
    scores.update(torch.tensor([[0, 2, 1]]), torch.tensor([[0, 0, 2]]), 0)
    shown = Page(render_label_maps(scores))
    assert shown.rows("confusion") == [["a", "(void)", "1", "0.5"]]
    assert [row[0] for row in shown.rows("classes")] == ["a", "b"]
    assert "img" not in {tag for tag, _ in shown.elements}


def test_files_that_have_gone_are_told(scores: LabelMapScores) -> None:
    def fail(image: int) -> tuple[Tensor, Tensor]:
        raise FileNotFoundError(2, "No such file or directory", "a<b.png")

    shown = Page(render_label_maps(scores, look=fail, worst=2))
    told = [words for _, words in shown.texts if "No such file" in words]
    assert told == ["[Errno 2] No such file or directory: 'a<b.png'"] * 2


def test_states_that_share_images_have_no_matrix() -> None:
    scores, other = evaluated(), evaluated()
    scores.merge_state(other.metric_state)
    with pytest.warns(UserWarning, match=r"'val/0 <&'"):
        shown = Page(render_label_maps(scores))
    assert "confusion" not in shown.tables
    assert any("images were in several states" in words for _, words in shown.texts)


def test_infinite_distances_sort() -> None:
    scores = LabelMapScores(class_names=["a", "b"], surface={})
    scores.update(torch.zeros(4, 4, dtype=torch.int64), torch.eye(4, dtype=torch.int64), 0)
    row = Page(render_label_maps(scores)).rows("classes")[1]
    assert row[5] == row[7] == "Infinity"


def test_large_maps_become_small_and_lose_no_error() -> None:
    target = np.zeros((700, 1000), np.uint8)
    pred = target.copy()
    pred[333, 555] = 1
    found = triple(pred, target, colours_of(2, []))
    assert (found.width, found.height) == (250, 175)
    wrong = (pixels(found.errors) == OUTCOMES["wrong"]).all(axis=-1)
    assert np.argwhere(wrong).tolist() == [[333 // 4, 555 // 4]]


def test_the_plane_with_the_most_errors_is_shown() -> None:
    target = np.zeros((20, 5, 30), np.uint8)
    pred = target.copy()
    pred[:3, 1], pred[:9, 4] = 1, 1
    found = triple(pred, target, colours_of(2, []))
    assert found.note == "plane 4 of 5, that with the most errors"
    wrong = (pixels(found.errors) == OUTCOMES["wrong"]).all(axis=-1)
    assert wrong.shape == (20, 30)
    assert int(wrong.sum()) == 9 * 30


def test_many_classes_share_colours() -> None:
    maps = np.arange(600).reshape(20, 30)
    found = triple(maps, maps, colours_of(600, []))
    assert pixels(found.target).shape == (20, 30, 3)
    assert len(found.labels) == 600
