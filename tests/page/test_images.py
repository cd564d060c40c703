"""The images on a page, and what is drawn on them."""

import base64
import contextlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from detmetrics import MeanAveragePrecision
from detmetrics.detection.operating_point import outcomes
from detmetrics.detection.settings import OperatingPointSettings
from detmetrics.files.coco import CocoData, from_coco
from detmetrics.page import render
from detmetrics.page.images import outcome_of_image
from detmetrics.page.thumbnails import Frame, frame_of, thumbnail
from tests.page.pages import Page, coco_data, drawn, evaluated


def save_images(data: CocoData, folder: Path, size: tuple[int, int] = (640, 480)) -> Path:
    for name in data.file_names.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "gray").save(folder / name)
    return folder


def test_keypoints_on_an_image_by_hand(tmp_path: Path) -> None:
    annotations = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "person", "skeleton": [[1, 2], [2, 3]]}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 1,
                "bbox": [10, 10, 100, 40],
                "keypoints": [20, 20, 2, 30, 40, 1, 99, 99, 0],
            }
        ],
    }
    results = [{"image_id": 7, "category_id": 1, "keypoints": [300, 20, 0, 310, 40, 0, 320, 40, 0], "score": 0.9}]
    data = from_coco(annotations, results, keypoints=True)
    metric = MeanAveragePrecision(
        box_format="xywh", iou_type="keypoints", keypoint_sigmas=[0.1] * 3, class_names=data.categories
    )
    metric.update(data.preds, data.target)
    Image.new("L", (960, 480)).save(tmp_path / "a.png")
    page = Page(render(metric, data=data, images=tmp_path))
    kinds, paths = page.attributes("path", "class")[-4:], page.attributes("path", "d")[-4:]
    assert kinds == ["halo", "missed", "halo", "wrong"]
    assert paths[0] == paths[1]
    assert paths[1].startswith("M20.00 20.00L30.00 40.00M18.50 20.00a1.50 1.50 ")  # 1.5 % of 100
    assert paths[1].count("M") == 1 + 2  # a line, and two dots
    assert paths[3].startswith("M300.00 20.00L310.00 40.00M310.00 40.00L320.00 40.00M")
    assert paths[3].count("M") == 2 + 3


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


# ------------------------------------------------------------------------------------------------ which file is opened


def annotated(file_name: str, size: tuple[int, int] | None = None) -> CocoData:
    """An image with a target at the left edge that is missed, and nothing else; ``size`` is width and height."""
    image: dict[str, Any] = {"id": 1, "file_name": file_name}
    if size is not None:
        image |= {"width": size[0], "height": size[1]}
    annotations = {
        "images": [image],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 10, 10, 20]}],
    }
    return from_coco(annotations, [{"image_id": 1, "category_id": 1, "bbox": [50, 50, 9, 9], "score": 0.5}])


def page_of(data: CocoData, folder: Path) -> Page:
    return Page(render(evaluated(data), score_threshold=0.1, data=data, images=folder))


def notes(page: Page) -> list[str]:
    return [words for tag, words in page.texts if tag == "p"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def shown(page: Page) -> bool:
    return any(href.startswith("data:image/jpeg") for href in page.attributes("image", "href"))


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_out_of_the_folder_is_not_followed(folder: Path, link: str) -> None:
    outside = folder.parent / "secret"
    outside.mkdir()
    Image.new("RGB", (100, 100)).save(outside / "a.png")
    if link == "file":
        (folder / "a.png").symlink_to(outside / "a.png")
    else:
        (folder / "sub").symlink_to(outside)
    name = "a.png" if link == "file" else "sub/a.png"
    page = page_of(annotated(name), folder)
    assert not shown(page)
    assert f"{name}: not in the folder of the images" in notes(page)


def test_links_within_the_folder_and_a_folder_that_is_a_link_are_followed(folder: Path) -> None:
    Image.new("RGB", (100, 100)).save(folder / "b.png")
    (folder / "a.png").symlink_to("b.png")
    (folder.parent / "other").symlink_to(folder)
    assert shown(page_of(annotated("a.png"), folder.parent / "other"))


@pytest.mark.parametrize("kind", ["pipe", "circle", "folder", "long name"])
def test_what_is_no_regular_file_is_not_opened(folder: Path, kind: str) -> None:
    name = "a" * 300 if kind == "long name" else "a.png"
    if kind == "pipe":
        os.mkfifo(folder / name)  # opening it would wait for ever
    elif kind == "circle":
        (folder / name).symlink_to(name)
    elif kind == "folder":
        (folder / name).mkdir()
    page = page_of(annotated(name), folder)
    assert not shown(page)
    assert any(words.startswith(f"{name}: ") for words in notes(page))


@pytest.mark.parametrize(
    ("spelt", "stored"),
    [
        ("val\\a.png", "val/a.png"),
        ("val/./a.png", "val/a.png"),
        ("val/caf\u00e9.png", "val/cafe\u0301.png"),
        ("val\\cafe\u0301.png", "val/caf\u00e9.png"),
    ],
)
def test_other_spellings_of_a_path(folder: Path, spelt: str, stored: str) -> None:
    (folder / "val").mkdir()
    Image.new("RGB", (100, 100)).save(folder / stored)
    assert shown(page_of(annotated(spelt), folder))
    assert not shown(page_of(annotated("..\\" + spelt), folder))


# ------------------------------------------------------------------------------------------- the frame of annotations

RED, WHITE = (254, 0, 0), (255, 255, 255)


def stored_picture(path: Path, orientation: int, size: tuple[int, int] = (200, 100)) -> None:
    """A white picture of ``size`` as it is stored, with a red top row third, and an EXIF orientation."""
    picture = Image.new("RGB", size, "white")
    picture.paste("red", (0, 0, size[0], size[1] // 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif, quality=95)


def embedded(page: Page) -> Image.Image:
    (source,) = [href for href in page.attributes("image", "href") if href.startswith("data:image/jpeg")]
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def test_a_photo_that_exif_turns_is_drawn_upright(folder: Path) -> None:
    """Stored as 200 x 100 with orientation 6, turned by a quarter to the right: the top is on the right."""
    stored_picture(folder / "a.jpg", 6)
    page = page_of(annotated("a.jpg", (100, 200)), folder)
    assert "0 0 100 200" in page.attributes("svg", "viewbox")
    image = embedded(page)
    assert image.size == (100, 200)
    assert image.getpixel((95, 100))[1] < 100 < image.getpixel((5, 100))[1]  # red on the right, white on the left
    assert drawn(page)[0][0] == ("missed", [0, 10, 10, 20])


def test_a_photo_whose_stored_size_is_declared_is_drawn_as_stored(folder: Path) -> None:
    stored_picture(folder / "a.jpg", 6)
    image = embedded(page_of(annotated("a.jpg", (200, 100)), folder))
    assert image.size == (200, 100)
    assert image.getpixel((100, 5))[1] < 100


@pytest.mark.parametrize("size", [(50, 100), (50, 101), (1000, 2000)])
def test_a_file_that_was_scaled_is_drawn_in_the_declared_size(folder: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(folder / "a.png")
    page = page_of(annotated("a.png", (100, 200)), folder)
    assert "0 0 100 200" in page.attributes("svg", "viewbox")
    assert [element["width"] for tag, element in page.elements if tag == "image" and "href" in element][-1] == "100"
    assert f"The file has {size[0]} x {size[1]} pixels, the annotations 100 x 200." in notes(page)


def test_a_file_of_another_shape_is_told_and_not_shown(folder: Path) -> None:
    Image.new("RGB", (300, 200)).save(folder / "a.png")
    page = page_of(annotated("a.png", (100, 200)), folder)
    assert not shown(page)
    message = (
        "a.png: the file has 300 x 200 pixels, the annotations declare 100 x 200: where its boxes are cannot be known"
    )
    assert message in notes(page)


@pytest.mark.parametrize(
    ("stored", "orientation", "declared", "expected"),
    [
        ((200, 100), 1, None, Frame((200, 100), False)),
        ((200, 100), 1, (200, 100), Frame((200, 100), False)),
        ((200, 100), 8, (100, 200), Frame((100, 200), True)),
        ((200, 100), 8, (50, 100), Frame((50, 100), True, "The file has 200 x 100 pixels, the annotations 50 x 100.")),
        ((200, 100), 99, (200, 100), Frame((200, 100), False)),
    ],
)
def test_frames(stored: Any, orientation: int, declared: Any, expected: Frame) -> None:
    assert frame_of(stored, orientation, declared) == expected


def test_frames_that_are_not_certain_say_so() -> None:
    for stored, orientation, declared in (((9, 9), 6, (9, 9)), ((20, 10), 3, (20, 10)), ((20, 10), 6, None)):
        frame = frame_of(stored, orientation, declared)
        assert isinstance(frame, Frame)
        assert not frame.upright
        assert "as stored" in frame.note
    assert isinstance(frame_of((200, 100), 1, (100, 200)), str)


# ------------------------------------------------------------------------------------------------------ kinds of pixels


def half(low: Any, high: Any, dtype: Any) -> Image.Image:
    """64 x 32, the left half low and the right half high."""
    values = np.full((32, 64), low, dtype=dtype)
    values[:, 32:] = high
    return Image.fromarray(values)


def palette() -> Image.Image:
    return half(10, 240, np.uint8).convert("P")


def transparent(mode: str) -> Image.Image:
    """Black and transparent on the right, which is white paper."""
    picture = Image.new("RGBA", (64, 32), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (32, 0, 64, 32))
    return picture.convert(mode)


@pytest.mark.parametrize(
    ("picture", "suffix"),
    [
        (half(1000, 3000, np.uint16), "png"),
        (half(-5, 70000, np.int32), "tif"),
        (half(-0.5, 0.5, np.float32), "tif"),
        (half(np.nan, 0.5, np.float32), "tif"),
        (palette(), "png"),
        (palette(), "gif"),
        (half(0, 255, np.uint8).convert("1"), "png"),
        (half(10, 240, np.uint8).convert("CMYK"), "jpg"),
        (half(10, 240, np.uint8).convert("CMYK"), "tif"),
        (transparent("RGBA"), "png"),
        (transparent("LA"), "png"),
        (transparent("P"), "png"),
    ],
    ids=lambda value: getattr(value, "mode", value),
)
def test_every_kind_of_pixels_is_dark_on_the_left_and_light_on_the_right(
    tmp_path: Path, picture: Image.Image, suffix: str
) -> None:
    picture.save(tmp_path / f"a.{suffix}")
    source = thumbnail(tmp_path / f"a.{suffix}", []).source
    small = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert (small.mode, small.size) == ("RGB", (64, 32))
    left, right = np.asarray(small)[:, :24], np.asarray(small)[:, 40:]
    if "nan" not in str(picture.getextrema()):
        assert right.min() > 150
    assert left.max() < 100


def test_of_several_images_in_a_file_the_first_is_shown(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("white", "black"))
    for name in ("a.gif", "a.png", "a.tif", "a.webp"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        source = thumbnail(tmp_path / name, []).source
        small = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        assert small.getpixel((4, 4)) > (250, 250, 250), name


def test_damaged_files_are_told(tmp_path: Path) -> None:
    """Whatever Pillow raises for them: one line on the page."""
    stored_picture(tmp_path / "a.jpg", 6)
    half(1000, 3000, np.uint16).save(tmp_path / "a.tif")
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "a.tif"):
        content = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(200):
            edited = content.copy()
            edited[rng.integers(0, len(content), 8)] = rng.integers(0, 256, 8)
            (tmp_path / f"edited.{name}").write_bytes(edited[: rng.integers(1, len(edited) + 1)].tobytes())
            with contextlib.suppress(OSError):
                thumbnail(tmp_path / f"edited.{name}", [], (100, 200))
