"""The page: its numbers are those of the metrics, its pictures those of the images, and it needs nothing else."""

import base64
import io
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from detmetrics import DetectionConfusionMatrix, DetectionCurves, DetectionReport, MeanAveragePrecision, demo
from detmetrics.cli import main
from detmetrics.coco import CocoData, from_coco, to_coco
from detmetrics.detection import table
from detmetrics.page import MOST_IN_MATRIX, render
from detmetrics.thumbnails import thumbnail
from tests.test_cli import torchrun

NAMES = ["person", "<script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>", "a & b </svg></title>", "unicorn"]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The elements of a page with the text in them; the rows of its tables by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.tables: dict[str, list[list[list[str]]]] = {}  # by section: tables of rows of cells
        self.data: list[list[list[str | None]]] = []
        self.section, self.open, self.cell = "", [], None
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"]
        elif tag == "table":
            self.tables.setdefault(self.section, []).append([])
        elif tag == "tr":
            self.tables[self.section][-1].append([])
        elif tag in ("td", "th"):
            self.cell = [dict(attrs).get("data-value"), ""]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            value, text = self.cell
            self.tables[self.section][-1][-1].append(text.strip() if value is None else value)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        if self.cell is not None:
            self.cell[1] += data

    def rows(self, section: str, table: int = 0) -> list[list[str]]:
        """The rows below the header: what sorts a cell where that is told, else its text."""
        return self.tables[section][table][1:]

    def attributes(self, tag: str, name: str) -> list[Any]:
        return [attributes[name] for each, attributes in self.elements if each == tag and name in attributes]


def number(text: str) -> float:
    return float(text or "nan")


def coco_data(num_images: int = 24, seed: int = 0) -> CocoData:
    """Images of 640 x 480 in which ``unicorn`` never occurs, every third without a file name."""
    preds, target = demo.generate(num_images, num_detections=12, num_classes=4, seed=seed)
    annotations, results = to_coco(preds, target, categories=dict(enumerate(NAMES)))
    for image in annotations["images"]:
        if image["id"] % 3:
            image["file_name"] = f'val/{image["id"]:03d} <&".jpg'
    return from_coco(annotations, results)


def evaluated(data: CocoData, **arguments: Any) -> MeanAveragePrecision:
    metric = MeanAveragePrecision(
        **{"box_format": "xywh", "class_names": data.categories, "pairs": "all", **arguments},
    )
    for batch in data.batches(7):
        metric.update(*batch)
    return metric


@pytest.fixture(scope="module")
def data() -> CocoData:
    return coco_data()


@pytest.fixture(scope="module")
def text(data: CocoData) -> str:
    return render(evaluated(data), title="<b>Cats</b> & dogs", data=data)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# ---------------------------------------------------------------------------------------------------------- the numbers


def test_coco_names_files(data: CocoData) -> None:
    assert data.file_names == {i: f'val/{i:03d} <&".jpg' for i in range(1, 25) if i % 3}
    assert CocoData([], [], {}).file_names == {}
    odd = {"images": [{"id": 1, "file_name": 3}, {"id": 2}], "categories": [], "annotations": []}
    with pytest.warns(UserWarning, match="no results"):
        assert from_coco(odd, []).file_names == {}


def test_coco_table(data: CocoData, page: Page) -> None:
    results = evaluated(data).compute()
    rows = page.rows("coco")
    assert [number(row[-1]) for row in rows] == pytest.approx([v.item() for v in results.values()], nan_ok=True)
    assert rows[0][:4] == ["Average Precision (AP)", "0.50:0.95", "all", "100"]
    assert rows[-1][:4] == ["Average Recall (AR)", "0.50:0.95", "large", "100"]


def point_of(data: CocoData) -> tuple[DetectionCurves, dict[str, Any]]:
    curves = DetectionCurves(box_format="xywh", class_names=data.categories)
    curves.update(data.preds, data.target)
    threshold = curves.compute().scalars()["best_score_threshold"].item()
    return curves, {"score_threshold": threshold, "box_format": "xywh", "class_names": data.categories}


def test_best_thresholds(data: CocoData, page: Page) -> None:
    scalars = {name: value.item() for name, value in point_of(data)[0].scalars().items()}
    assert [[number(cell) for cell in row[1:]] for row in page.rows("thresholds")] == [
        [scalars["best_score_threshold"], scalars["best_f1"]],
        [scalars["best_macro_score_threshold"], scalars["best_macro_f1"]],
    ]


def test_class_table(data: CocoData, page: Page) -> None:
    curves, point = point_of(data)
    report, matrix = DetectionReport(**point), DetectionConfusionMatrix(**point)
    for metric in (report, matrix):
        metric.update(data.preds, data.target)
    coco = evaluated(data, class_metrics=True).compute()
    at_half = evaluated(data, class_metrics=True, iou_thresholds=[0.5]).compute()
    values, predictions = report.compute(), matrix.compute().sum(dim=0)
    rows = page.rows("classes")
    assert [row[0] for row in rows] == NAMES
    for i, (name, *cells) in enumerate(rows):
        expected = [coco[f"map/{name}"], at_half[f"map/{name}"]]
        expected += [values[f"{score}/{name}"] for score in ("precision", "recall", "f1")]
        expected += [curves.compute().best_f_beta[i], curves.compute().best_score_threshold[i]]
        expected += [values[f"support/{name}"], predictions[i]]
        assert [number(cell) for cell in cells] == pytest.approx([v.item() for v in expected], abs=1e-15, nan_ok=True)


def test_worst_images(data: CocoData, page: Page) -> None:
    report = DetectionReport(**point_of(data)[1])
    report.update(data.preds, data.target)
    columns = [column.tolist() for column in report.per_image().values()]
    images = [row for row in zip(*columns, strict=True) if row[2] + row[3]]
    images.sort(key=lambda row: (row[4], -(row[2] + row[3]), row[0]))
    rows = page.rows("images")
    assert [[float(row[0]), *map(number, row[2:])] for row in rows] == [list(map(float, row)) for row in images[:12]]
    assert [row[1] for row in rows] == [data.file_names.get(row[0], "") for row in images[:12]]


def test_confusions(data: CocoData, page: Page) -> None:
    matrix = DetectionConfusionMatrix(**point_of(data)[1])
    matrix.update(data.preds, data.target)
    counts = matrix.compute()
    expected = {
        (NAMES[i], NAMES[j], count, count / int(counts[i].sum()))
        for i, row in enumerate(counts[:-1, :-1].tolist())
        for j, count in enumerate(row)
        if i != j and count
    }
    rows = [(row[0], row[1], int(row[2]), float(row[3])) for row in page.rows("confusion")]
    assert 0 < len(rows) == len(expected) <= 15
    assert set(rows) == expected
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_a_given_operating_point(data: CocoData) -> None:
    metric = evaluated(data)
    page = Page(render(metric, iou_threshold=0.75, score_threshold=0.6))
    report = DetectionReport(iou_threshold=0.75, **{**point_of(data)[1], "score_threshold": 0.6})
    report.update(data.preds, data.target)
    f1 = [report.compute()[f"f1/{name}"].item() for name in NAMES]
    assert [number(row[5]) for row in page.rows("classes")] == pytest.approx(f1, nan_ok=True)
    assert ("b", "IoU 0.75, score ≥ 0.6") in page.texts


def test_thresholds_below_the_usual_floor(data: CocoData) -> None:
    metric = evaluated(data, iou_thresholds=[0.05, 0.5], max_detection_thresholds=[1, 5])
    values = [number(row[-1]) for row in Page(render(metric)).rows("coco")]
    assert values == pytest.approx([v.item() for v in metric.compute().values()], nan_ok=True)


def test_undeclared_classes_are_those_that_occur() -> None:
    preds, target = demo.generate(6, 8, 3)
    metric = MeanAveragePrecision()
    metric.update(preds, target)
    rows = Page(render(metric)).rows("classes")
    assert [row[0] for row in rows] == [str(label) for label in metric.compute() and metric.classes.tolist()]


@pytest.mark.parametrize("pairs", ["same", "all"])
@pytest.mark.parametrize("class_names", [None, ["cat", "dog"]])
@pytest.mark.parametrize("num_images", [0, 1])
def test_without_anything(pairs: str, class_names: list[str] | None, num_images: int) -> None:
    metric = MeanAveragePrecision(pairs=pairs, class_names=class_names)
    nothing = {"boxes": torch.empty(0, 4), "labels": torch.empty(0, dtype=torch.int64)}
    for _ in range(num_images):
        metric.update([{**nothing, "scores": torch.empty(0)}], [nothing])
    page = Page(render(metric))
    assert [row[-1] for row in page.rows("coco")] == [""] * 12
    assert ("p", "No image has a wrong prediction or a missed target at IoU 0.50, score ≥ 0.") in page.texts
    assert not any(re.search(r"\bnan\b", words) for tag, words in page.texts if tag not in ("script", "style"))


def test_without_pairs_of_classes_there_is_no_matrix(data: CocoData) -> None:
    page = Page(render(evaluated(data, pairs="same")))
    assert "Confusion matrix" not in page.attributes("svg", "aria-label")
    assert any("did not keep" in words for _, words in page.texts)


def test_a_matrix_of_too_many_classes_is_not_drawn(data: CocoData) -> None:
    names = [f"class {i}" for i in range(MOST_IN_MATRIX + 1)]
    page = Page(render(evaluated(data, class_names=names)))
    assert "Confusion matrix" not in page.attributes("svg", "aria-label")
    assert len(page.rows("classes")) == len(names)
    assert page.rows("confusion")


def test_what_does_not_fit(data: CocoData, tmp_path: Path) -> None:
    for metric, arguments, message in (
        (MeanAveragePrecision(iou_type=["bbox", "segm"]), {}, "metric: expected one iou_type and class_agnostic=False"),
        (MeanAveragePrecision(class_agnostic=True), {}, "metric: expected one iou_type and class_agnostic=False"),
        (MeanAveragePrecision(), {"images": tmp_path}, "images: expected data with them"),
        (MeanAveragePrecision(), {"data": data}, "metric: expected box_format='xywh', that of the data, got 'xyxy'"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            render(metric, **arguments)
    with pytest.raises(NotADirectoryError, match="images: expected a folder, got "):
        render(evaluated(data), data=data, images=tmp_path / "none")
    for argument, value, message in (
        ("iou_threshold", 7.0, "iou_threshold: expected"),
        ("iou_threshold", 0.05, "iou_threshold: expected 0.1 or more, what the metric keeps, got 0.05"),
        ("score_threshold", math.nan, "score_threshold: expected a finite number"),
        ("worst", -1, "worst: expected an int of 0 or more, got -1"),
        ("worst", 2.5, "worst: expected an int of 0 or more, got 2.5"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            render(evaluated(data), **{argument: value})
    assert Page(render(evaluated(data), worst=0)).tables.get("images") is None


# ------------------------------------------------------------------------------------------------------------- the page


def test_equal_results_give_equal_bytes(data: CocoData, text: str) -> None:
    metric = evaluated(data)
    before = metric.compute()
    assert render(metric, title="<b>Cats</b> & dogs", data=data) == text
    assert {key: value.item() for key, value in before.items()} == pytest.approx(
        {key: value.item() for key, value in metric.compute().items()}, nan_ok=True
    )
    halves = [evaluated(CocoData(data.preds[i::2], data.target[i::2], data.categories)) for i in (1, 0)]
    halves[0].merge_state(halves[1])
    assert render(halves[0], title="<b>Cats</b> & dogs", data=data) == text


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """JSON may escape half of a pair of surrogates."""
    preds, target = demo.generate(4, num_detections=5, num_classes=1)
    documents = to_coco(preds, target, categories={0: "\ud800"})
    paths = [tmp_path / name for name in ("gt.json", "dt.json", "page.html")]
    for path, document in zip(paths, documents, strict=False):
        path.write_text(json.dumps(document))
    assert main(["evaluate", str(paths[0]), str(paths[1]), "--quiet", "--html", str(paths[2])]) == 0
    assert "\\ud800" in paths[2].read_text()


def test_the_settings_of_matplotlib_change_nothing(data: CocoData, text: str) -> None:
    with mpl.rc_context({"axes.grid": True, "text.usetex": True, "font.size": 30}):
        assert render(evaluated(data), title="<b>Cats</b> & dogs", data=data) == text


def test_readers_share_what_is_read(data: CocoData, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, unpack = [], table._unpack
    monkeypatch.setattr(table, "_unpack", lambda rows: (reads.append(len(rows.images)), unpack(rows))[1])
    render(evaluated(data))
    assert reads == [len(data)]


def test_undefined_values_of_the_metric_stay_out_of_the_average_at_one_overlap(data: CocoData) -> None:
    rows = [Page(render(evaluated(data, zero_division=value))).rows("classes") for value in (math.nan, 0.0)]
    assert [row[2] for row in rows[0]] == [row[2] for row in rows[1]]
    assert "" in [row[2] for row in rows[0]]


def test_names_are_text(page: Page, text: str) -> None:
    assert page.attributes("script", "src") == []
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert [words for tag, words in page.texts if tag in ("title", "h1")][:2] == ["<b>Cats</b> & dogs"] * 2
    shown = "".join(words for _, words in page.texts)
    assert all(shown.count(name) >= 2 for name in NAMES)  # in the table, and in a legend or on an axis
    assert text.startswith('<!doctype html>\n<html lang="en">')


def test_nothing_is_loaded(text: str, page: Page) -> None:
    assert not re.search(r"https?:|@import|srcset|\bfetch\(", text)
    links = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("href", "src")]
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)
    (policy,) = page.attributes("meta", "http-equiv")
    assert policy == "Content-Security-Policy"


def test_ids_are_unique_and_found(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pairs = [pair for _, attributes in page.elements for pair in attributes.items()]
    links = {value[1:] for name, value in pairs if name == "href" and value.startswith("#")}
    uses = {found for _, value in pairs for found in re.findall(r"url\(#([^)]+)\)", value or "")}
    assert links
    assert uses
    assert links | uses <= set(ids)


def test_no_picture_brings_a_style_for_the_whole_page(page: Page) -> None:
    assert [tag for tag, _ in page.elements].count("style") == 1


def test_pictures_are_described(page: Page) -> None:
    svgs = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(svgs) == 5
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in svgs)


# ----------------------------------------------------------------------------------------------------------- the images


def save_images(data: CocoData, folder: Path, size: tuple[int, int] = (640, 480)) -> Path:
    for name in data.file_names.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "gray").save(folder / name)
    return folder


def drawn(page: Page) -> list[list[tuple[str, list[float]]]]:
    """The rectangles of each thumbnail, with their kinds."""
    shown: list[list[tuple[str, list[float]]]] = []
    for tag, attributes in page.elements:
        if tag == "image" and attributes["href"].startswith("data:image/jpeg"):
            shown.append([])
        elif tag == "rect" and shown and attributes.get("class", "halo") != "halo":
            box = [float(attributes[key]) for key in ("x", "y", "width", "height")]
            shown[-1].append((attributes["class"], box))
    return shown


def test_boxes_on_an_image_by_hand(tmp_path: Path) -> None:
    cat, dog = 3, 5
    boxes = [[0, 0, 50, 50], [100, 0, 40, 40], [200, 0, 60, 60], [300, 10, 30, 30]]
    annotations = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": cat, "name": "cat"}, {"id": dog, "name": "<dog>"}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": label, "bbox": box, "iscrowd": crowd}
            for i, (label, box, crowd) in enumerate(zip([dog, cat, cat, cat], boxes, [0, 0, 0, 1], strict=True), 1)
        ],
    }
    results = [
        {"image_id": 7, "category_id": label, "bbox": box, "score": score}
        for label, box, score in (
            (dog, [400, 100, 20, 20], 0.9),  # nothing is there
            (cat, [205, 0, 55, 60], 0.3),  # the third target, worse than the next one
            (cat, [200, 0, 55, 60], 0.8),  # the third target
            (cat, [302, 10, 28, 30], 0.7),  # in the crowd: ignored, not drawn
            (dog, [0, 0, 50, 45], 0.2),  # below the threshold
        )
    ]
    data = from_coco(annotations, results)
    Image.new("L", (960, 480)).save(tmp_path / "a.png")
    page = Page(render(evaluated(data), score_threshold=0.25, data=data, images=tmp_path))
    (shown,) = drawn(page)
    assert shown == [
        ("missed", boxes[0]),
        ("missed", boxes[1]),
        ("found", boxes[2]),
        ("ignored", boxes[3]),
        ("wrong", [400, 100, 20, 20]),
        ("wrong", [205, 0, 55, 60]),
        ("right", [200, 0, 55, 60]),
    ]
    titles = [words for tag, words in page.texts if tag == "title"][1:]
    predictions = ["<dog> 0.90, wrong", "cat 0.30, wrong", "cat 0.80, right"]
    assert titles[-3:] == [f"prediction: {prediction}" for prediction in predictions]
    assert titles[0] == "target: <dog>, missed"
    (source,) = [href for href in page.attributes("image", "href") if href.startswith("data:image/jpeg")]
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        assert (image.format, image.size) == ("JPEG", (480, 240))  # of 960 x 480
    assert "0 0 960 480" in page.attributes("svg", "viewbox")


def test_what_is_drawn_is_what_is_counted(tmp_path: Path) -> None:
    data = coco_data(30, seed=1)
    folder = save_images(data, tmp_path)
    page = Page(render(evaluated(data), data=data, images=folder, worst=30))
    rows = [row for row in page.rows("images") if row[1]]
    shown = drawn(page)
    assert len(shown) == len(rows) > 10
    position = {item["image_id"]: i for i, item in enumerate(data.target)}
    for (image_id, _, *counts, _), marks in zip(rows, shown, strict=True):
        tp, fp, fn = map(int, counts)
        kinds = [kind for kind, _ in marks]
        assert (kinds.count("right"), kinds.count("found")) == (tp, tp)
        assert (kinds.count("wrong"), kinds.count("missed")) == (fp, fn)
        target = data.target[position[int(image_id)]]
        assert sum(kind in ("found", "missed", "ignored") for kind in kinds) == len(target["labels"])
        if tp:  # each finds one of its own: the boxes are the right ones, not merely as many
            right, found = (torch.tensor([box for kind, box in marks if kind == k]) for k in ("right", "found"))
            right[:, 2:] += right[:, :2]
            found[:, 2:] += found[:, :2]
            overlaps = box_iou(right, found)
            assert (overlaps.amax(dim=1) >= 0.5).all()
            assert (overlaps.amax(dim=0) >= 0.5).all()


def test_masks_are_drawn_as_boxes(tmp_path: Path) -> None:
    square = {"size": [40, 50], "counts": [0, *[20, 20] * 19, 20, 20 + 30 * 40]}  # rows and columns 0 to 19
    column = {"size": [40, 50], "counts": [40 * 45, 40 * 5]}
    image = {"id": 1, "file_name": "a.png", "height": 40, "width": 50}
    cat = {"image_id": 1, "category_id": 1}
    annotations = {
        "images": [image],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "segmentation": square, **cat}],
    }
    results = [{"segmentation": column, "score": 0.9, **cat}, {"segmentation": square, "score": 0.8, **cat}]
    data = from_coco(annotations, results, masks=True)
    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    metric = evaluated(data, iou_type="segm")
    (shown,) = drawn(Page(render(metric, score_threshold=0.5, data=data, images=tmp_path)))
    assert shown == [("found", [0, 0, 20, 20]), ("wrong", [45, 0, 5, 40]), ("right", [0, 0, 20, 20])]


def test_an_image_that_cannot_be_shown_says_why(tmp_path: Path) -> None:
    data = coco_data()
    folder = save_images(data, tmp_path)
    known = [row[1] for row in Page(render(evaluated(data), data=data)).rows("images") if row[1]]
    (folder / known[0]).unlink()
    (folder / known[1]).write_text("no image")
    (folder / known[2]).write_bytes((folder / known[2]).read_bytes()[:300])
    data.file_names[0] = "of no image"
    page = Page(render(evaluated(data), data=data, images=folder))
    notes = [words for tag, words in page.texts if tag == "p"]
    assert f"{known[0]}: No such file or directory" in notes
    assert f"{known[1]}: cannot identify image file '{folder / known[1]}'" in notes
    assert "The annotations have no file_name for this image." in notes
    assert len(drawn(page)) == len(known) - 3


@pytest.mark.parametrize("outside", ["../secret.png", "val/../../secret.png", "{}/secret.png", "\0"])
def test_a_file_outside_the_folder_is_not_shown(data: CocoData, tmp_path: Path, outside: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (640, 480)).save(tmp_path / "secret.png")
    name = outside.format(tmp_path)
    some = CocoData(data.preds, data.target, data.categories, dict.fromkeys(data.file_names, name))
    page = Page(render(evaluated(data), data=some, images=folder))
    assert not any(href.startswith("data:image/jpeg") for href in page.attributes("image", "href"))
    assert any(words.startswith(f"{name}: ") for tag, words in page.texts if tag == "p")


def test_images_that_the_data_lack(data: CocoData, tmp_path: Path) -> None:
    some = CocoData(data.preds[:2], data.target[:2], data.categories, data.file_names)
    page = Page(render(evaluated(data), data=some, images=save_images(data, tmp_path)))
    assert sum(href.startswith("data:image/jpeg") for href in page.attributes("image", "href")) <= 2


def test_a_large_image_keeps_its_pixels_and_is_made_small(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000)).save(tmp_path / "large.jpg")
    small = thumbnail(tmp_path / "large.jpg", [])
    assert (small.width, small.height) == (2000, 1000)
    assert Image.open(io.BytesIO(base64.b64decode(small.source.partition(",")[2]))).size == (480, 240)


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def files(data: CocoData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``gt.json``, ``dt.json`` and ``images``, and in ``whole.html`` the page they give."""
    folder = tmp_path_factory.mktemp("files")
    preds, target = demo.generate(24, num_detections=12, num_classes=4)
    annotations, results = to_coco(preds, target, categories=dict(enumerate(NAMES)))
    for image in annotations["images"]:
        image["file_name"] = f"{image['id']}.jpg"
        (folder / "images").mkdir(exist_ok=True)
        Image.new("RGB", (640, 480)).save(folder / "images" / f"{image['id']}.jpg")
    (folder / "gt.json").write_text(json.dumps(annotations))
    (folder / "dt.json").write_text(json.dumps(results))
    assert main(["evaluate", *options(folder), "--quiet", "--html", str(folder / "whole.html")]) == 0
    return folder


def options(folder: Path) -> list[str]:
    return [str(folder / "gt.json"), str(folder / "dt.json"), "--images", str(folder / "images")]


def test_evaluate_writes_the_page(files: Path) -> None:
    page = Page((files / "whole.html").read_text(encoding="utf-8"))
    assert [words for tag, words in page.texts if tag == "h1"] == ["dt.json on gt.json"]
    assert [row[0] for row in page.rows("classes")] == NAMES
    assert len(drawn(page)) == len(page.rows("images")) == 12


def test_demo_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert main(["demo", "--images", "5", "--classes", "3", "--quiet", "--html", str(out)]) == 0
    page = Page(out.read_text(encoding="utf-8"))
    assert "Confusion matrix" in page.attributes("svg", "aria-label")
    assert "File" not in "".join(page.tables["images"][0][0])


def test_the_page_on_the_gpu(files: Path, tmp_path: Path, cuda: torch.device) -> None:
    out = tmp_path / "out.html"
    assert main(["evaluate", *options(files), "--device", str(cuda), "--quiet", "--html", str(out)]) == 0
    assert out.read_bytes() == (files / "whole.html").read_bytes()


@pytest.mark.parametrize("with_page", [False, True])
def test_merge_writes_the_page(files: Path, tmp_path: Path, with_page: bool) -> None:
    states = []
    for shard in ("0/2", "1/2"):
        states.append(str(tmp_path / f"{shard[0]}.pt"))
        more = ["--html", str(tmp_path / "part.html")] if with_page else []
        saved = ["--shard", shard, "--save-state", states[-1], "--quiet", *more]
        assert main(["evaluate", *options(files)[:2], *saved]) == 0
    assert main(["merge", *states, "--quiet", "--html", str(tmp_path / "out.html")]) == 0
    page, whole = (Page(path.read_text(encoding="utf-8")) for path in (tmp_path / "out.html", files / "whole.html"))
    assert ("Confusion matrix" in page.attributes("svg", "aria-label")) == with_page
    assert page.rows("classes") == whole.rows("classes")
    assert [row[0] for row in page.rows("images")] == [row[0] for row in whole.rows("images")]
    assert drawn(page) == []


def test_two_ranks_write_the_page_of_one(files: Path, tmp_path: Path) -> None:
    done = torchrun("-m", "detmetrics", "evaluate", *options(files), "--html", str(tmp_path / "out.html"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.html").read_bytes() == (files / "whole.html").read_bytes()


def test_the_page_fails_before_the_evaluation(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.html")
    assert main(["evaluate", *options(files)[:3], str(tmp_path / "none"), "--html", out]) == 1
    assert capsys.readouterr() == ("", f"detmetrics: error: [Errno 20] Not a directory: '{tmp_path / 'none'}'\n")
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *options(files)])
    assert exit_.value.code == 2
    assert "--images: expected --html with it" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "detmetrics.page")
    assert main(["evaluate", "no", "such", "--html", out]) == 1
    message = 'detmetrics: error: a page needs matplotlib: pip install "detmetrics[html]"\n'
    assert capsys.readouterr() == ("", message)


# ----------------------------------------------------------------------------------------------------------- a browser

CLICKS = """<script>
for (const [column, times] of [[0, 1], [0, 2], [1, 1], [1, 2]]) {
  const heading = document.querySelectorAll("#classes thead th")[column];
  heading.removeAttribute("aria-sort");
  for (let i = 0; i < times; i++) heading.querySelector("button").click();
  const names = [...document.querySelectorAll("#classes tbody th")].map((cell) => cell.textContent);
  document.body.append(Object.assign(document.createElement("pre"), {
    textContent: JSON.stringify([heading.ariaSort, ...names]),
  }));
}
</script>
</body>"""


def test_a_click_sorts(data: CocoData, page: Page, text: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium or google-chrome in the path")
    (tmp_path / "page.html").write_text(text.replace("</body>", CLICKS), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *flags, "--dump-dom", (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.findall(r"<pre>(.*?)</pre>", done.stdout)
    assert len(found) == 4
    scores = {row[0]: number(row[1]) for row in page.rows("classes")}
    ranked = sorted(NAMES[:4], key=lambda name: -scores[name])
    shown = [json.loads("".join(words for _, words in Page(line).texts)) for line in found]
    by_name, back, by_score, up = shown
    assert by_name[0] == "ascending"
    assert back == ["descending", *reversed(by_name[1:])]
    assert set(by_name[1:]) == set(NAMES)
    assert by_score == ["descending", *ranked, "unicorn"]
    assert up == ["ascending", *reversed(ranked), "unicorn"]
