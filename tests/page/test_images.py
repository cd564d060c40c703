"""The images on a page, and what is drawn on them."""

import base64
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from detmetrics.detection.operating_point import outcomes
from detmetrics.detection.settings import OperatingPointSettings
from detmetrics.files.coco import CocoData, from_coco
from detmetrics.page import render
from detmetrics.page.images import outcome_of_image
from detmetrics.page.thumbnails import thumbnail
from tests.page.pages import Page, coco_data, drawn, evaluated


def save_images(data: CocoData, folder: Path, size: tuple[int, int] = (640, 480)) -> Path:
    for name in data.file_names.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "gray").save(folder / name)
    return folder


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


def test_the_outcome_of_an_image_is_what_the_image_alone_gives() -> None:
    data = coco_data(12, seed=2)
    point = OperatingPointSettings(score_threshold=0.3)
    whole = evaluated(data).data()
    outcome = outcomes(whole, point)
    for index in range(len(data)):
        alone = evaluated(CocoData(data.preds[index : index + 1], data.target[index : index + 1], data.categories))
        for own, expected in zip(outcome_of_image(whole, outcome, index), outcomes(alone.data(), point), strict=True):
            assert torch.equal(own, expected)


def test_other_boxes_than_those_that_were_seen_are_not_drawn(data: CocoData, tmp_path: Path) -> None:
    preds = [{**item, "labels": item["labels"].flip(0) + 1} for item in data.preds]
    other = CocoData(preds, data.target, data.categories, data.file_names)
    page = Page(render(evaluated(data), data=other, images=save_images(data, tmp_path)))
    assert drawn(page) == []
    assert any("the data have other boxes than the metric has seen" in words for _, words in page.texts)
