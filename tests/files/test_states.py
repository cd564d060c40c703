"""Files of states: what is written is what is read, and nothing else is."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detmetrics import MeanAveragePrecision, demo
from detmetrics.cli import main
from detmetrics.detection.row_checks import check_rows
from detmetrics.detection.rows import Rows
from detmetrics.files import states

ODD_IDS: list[Any] = [
    *(None, 7, "", "ids", "{}", "7", '{"0": 1}', "[0, 1]", '[["a", 0]]', '[[-1, "a"]]', "[[0, true]]", "[[0, 1.5]]"),
    *('[[0, "a"], [1, "a"]]', '[[0, "a"], [0, "b"]]', '[[9223372036854775808, "a"]]', "[" * 100_000),
    '[[77, "a"]]',  # not those of the images
]
SETTINGS = {"class_names": {0: "cat", 1: "dog", 2: "bird"}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    metric = MeanAveragePrecision(**SETTINGS)
    metric.update(*demo.generate(num_images=5, num_detections=8, num_classes=3))
    states.save(tmp_path / "state.pt", metric, SETTINGS)
    return tmp_path / "state.pt"


def edited(path: Path, edit: Callable[[dict[str, Any]], None], sign: bool = False) -> Path:
    """Save a file again after an edit; with ``sign`` with a checksum that fits."""
    document = torch.load(path, weights_only=True)
    edit(document)
    if sign:
        document["checksum"] = states.checksum(*(document[key] for key in ("settings", "state", "image_ids")))
    torch.save(document, path)
    return path


def rows_of(path: Path) -> Rows:
    state = states.load(path).state
    found = {name.split("_")[1]: torch.cat(list(value)) for name, value in state.items() if "pending" not in name}
    return Rows(*(found[part] for part in Rows._fields))


def test_a_file_gives_back_settings_and_state(saved: Path) -> None:
    settings, metric = states.merge([saved])
    assert settings == SETTINGS
    direct = MeanAveragePrecision(**SETTINGS)
    direct.update(*demo.generate(num_images=5, num_detections=8, num_classes=3))
    expected = direct.compute()
    assert all(value.equal(expected[key]) for key, value in metric.compute().items() if not value.isnan())


def test_an_edited_cell_is_noticed_wherever_it_is(saved: Path) -> None:
    content = saved.read_bytes()
    document = torch.load(saved, weights_only=True)
    cells = [
        (name, at, cell)
        for name, chunks in document["state"].items()
        for at, chunk in enumerate(chunks)
        for cell in range(0, chunk.numel(), max(chunk.numel() // 9, 1))
    ]
    assert len(cells) > 30
    for name, at, cell in cells:
        saved.write_bytes(content)

        def add_one(document: dict[str, Any], name: str = name, at: int = at, cell: int = cell) -> None:
            document["state"][name][at].view(-1)[cell] += 1

        with pytest.raises(ValueError, match="expected the content that was saved, got other: its checksum"):
            states.merge([edited(saved, add_one)])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d["settings"].update(iou_type="segm"), "its checksum does not fit"),
        (lambda d: d["settings"]["class_names"].update({2: "Bird"}), "its checksum does not fit"),
        (lambda d: d.update(image_ids='[[0, "a"]]'), "its checksum does not fit"),
        (lambda d: d.pop("checksum"), "its checksum does not fit"),
        (lambda d: d.pop("settings"), "expected a dict of settings and a dict of int64 states, got others"),
        (lambda d: d.pop("state"), "expected a dict of settings and a dict of int64 states, got others"),
        (lambda d: d.update(state=[]), "expected a dict of settings and a dict of int64 states, got others"),
        (lambda d: d["state"].update(x=[torch.ones(3)]), "expected a dict of settings and a dict of int64 states"),
        (lambda d: d.update(version=3), "expected format version 4, got 3; save it with this version"),
        (lambda d: d.update(version=torch.ones(2)), "expected format version 4, got tensor"),
        (lambda d: (d.pop("version"), d.update(format="detmetrics state 2")), "got 'detmetrics state 2'; save it"),
        (lambda d: d.pop("format"), "expected a file written by --save-state"),
    ],
    ids=lambda value: value[-50:] if isinstance(value, str) else "edit",
)
def test_other_edits_are_noticed(saved: Path, edit: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{saved}: [^\n]*{re.escape(message)}[^\n]*$"):
        states.merge([edited(saved, edit)])


def _settings(**new: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["settings"].update(new)


@pytest.mark.parametrize(
    "edit",
    [
        _settings(colour=1),
        _settings(iou_thresholds="all"),
        _settings(iou_thresholds={}),
        _settings(max_detection_thresholds=[[1]]),
        _settings(class_names=7),
        _settings(box_format=[]),
        _settings(area_ranges=[1]),
        *(lambda document, text=text: document.update(image_ids=text) for text in ODD_IDS),
        lambda document: document["state"].clear(),
        lambda document: document["state"].update({name: [] for name in list(document["state"])[1:2]}),
        lambda document: document["state"].update(dict.fromkeys(document["state"], torch.tensor(3))),
    ],
)
def test_signed_files_must_fit_all_the_same(saved: Path, edit: Any) -> None:
    with pytest.raises(ValueError, match=f"^{saved}: [^\n]+$"):
        states.merge([edited(saved, edit, sign=True)])


@pytest.mark.parametrize(
    ("part", "row", "column", "value", "message"),
    [
        ("images", 1, 0, -5, "images: expected ids of 0 or more, or numbers of arrival, got others in row 1"),
        ("images", 1, 1, 10**6, "detections: expected as many rows as the images count, got "),
        ("images", 1, 2, -1, "targets: expected as many rows as the images count, got "),
        ("images", 1, 3, 2**62, "overlaps: expected as many rows as the images count, got "),
        ("images", 1, 5, 7, "images: expected notes of known scores, got others in row 1"),
        ("detections", 2, 0, 0x7FF8 << 48, "detections: expected finite scores, got others in row 2"),
        ("detections", 2, 1, -1, "detections: expected finite areas of 0 or more, got others in row 2"),
        ("targets", 2, 0, -1, "targets: expected finite areas of 0 or more, got others in row 2"),
        ("targets", 2, 2, 12, "targets: expected known flags, got others in row 2"),
        ("overlaps", 0, 0, 99 << 32, "overlaps: expected detections of their image, got others in row 0"),
        ("overlaps", 0, 0, -1, "overlaps: expected detections of their image, got others in row 0"),
        ("overlaps", 0, 0, 99, "overlaps: expected targets of their image, got others in row 0"),
        ("overlaps", 0, 1, 0, "overlaps: expected finite numbers above 0, got others in row 0"),
    ],
)
def test_rows_that_do_not_fit_together(saved: Path, part: str, row: int, column: int, value: int, message: str) -> None:
    rows = rows_of(saved)
    check_rows(rows)
    getattr(rows, part)[row, column] = value
    with pytest.raises(ValueError, match=f"^{message}"):
        check_rows(rows)


def test_what_unpacks_to_too_much_is_refused_before_it_does(saved: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.pt"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        new.writestr("archive/data/99", bytes(50 << 20))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match=r"unpacks to at most 1000000 bytes, got 0.05 GB; .* \(--max-bytes\)"):
        states.load(bomb, max_bytes=1_000_000)
    states.load(saved, max_bytes=1)  # a file that is not packed is no larger than it is


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_any_protocol_are_no_states(saved: Path, protocol: int) -> None:
    document = torch.load(saved, weights_only=True)
    torch.save(document, saved, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"^[^\n]*: expected a file written by --save-state$"):
        states.load(saved)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no state", json.dumps({}).encode()])
def test_other_files_are_no_states(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^[^\n]*: expected a file written by --save-state$"):
        states.load(path)


def test_a_zip_of_something_else_is_no_state(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "text")
    path = tmp_path / "other.pt"
    path.write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="expected a file written by --save-state"):
        states.load(path)


# ------------------------------------------------------------------------------------------------------ ids of images


def state_of(path: Path, ids: list[Any], score: float = 0.5) -> Path:
    """The state of images that all have one target and one detection of it, as the command saves it."""
    annotations = {
        "images": [{"id": i} for i in ids],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": n, "image_id": i, "category_id": 1, "bbox": [0, 0, 9, 9]} for n, i in enumerate(ids)],
    }
    results = [{"image_id": i, "category_id": 1, "bbox": [0, 0, 9, 8], "score": score} for i in ids]
    files = [path.with_suffix(suffix) for suffix in (".gt.json", ".dt.json")]
    for file, document in zip(files, (annotations, results), strict=True):
        file.write_text(json.dumps(document))
    assert main(["evaluate", *map(str, files), "--quiet", "--save-state", str(path)]) == 0
    return path


LONG = 10**300  # longer than what torch reads from its pickles


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a.jpg", "b.jpg"], ["b.jpg", "c.jpg", "d.jpg"]),  # "b.jpg" is 1 in one file and 0 in the other
        ([3, 4], [4, -1]),
        ([7, 2**64, LONG], [LONG]),
        ([1, "1"], ["1", 2]),
        (["\ud800", "\n"], ["\n", "x" * 500]),
    ],
    ids=str,
)
def test_images_of_merged_files_are_the_same_if_their_ids_are(tmp_path: Path, first: Any, second: Any) -> None:
    paths = [state_of(tmp_path / "1.pt", first), state_of(tmp_path / "2.pt", second)]
    for order in (paths, paths[::-1]):
        _, metric = states.merge(order)
        with pytest.warns(UserWarning, match=r"1 image \(id .*\) was seen again .* about the same predictions"):
            metric.compute()
        assert (metric.num_images, metric.num_duplicates) == (len({*map(repr, [*first, *second])}), 1)
        assert [metric.image_ids[key] for key in metric.data().keys.tolist()] == sorted(
            {*first, *second}, key=lambda i: (isinstance(i, str), i)
        )


def test_ids_that_are_their_own_numbers_are_not_saved(tmp_path: Path) -> None:
    path = state_of(tmp_path / "1.pt", [3, 8])
    assert states.load(path).image_ids == {}
    _, metric = states.merge([path, state_of(tmp_path / "2.pt", [4])])
    assert metric.image_ids == {}
    assert metric.data().keys.tolist() == [3, 4, 8]


def test_images_without_ids_stay_as_they_are_beside_such_with_ids(saved: Path, tmp_path: Path) -> None:
    named = MeanAveragePrecision(**SETTINGS)
    preds, target = demo.generate(num_images=2, num_detections=8, num_classes=3)
    named.update(preds, [{**item, "image_id": key} for item, key in zip(target, (0, 1), strict=True)])
    named.image_ids = {0: "a", 1: "b"}
    unnamed = MeanAveragePrecision(**SETTINGS)
    unnamed.update(preds, [{key: value for key, value in item.items() if key != "image_id"} for item in target])
    paths = [tmp_path / "named.pt", tmp_path / "unnamed.pt"]
    for path, metric in zip(paths, (named, unnamed), strict=True):
        states.save(path, metric, SETTINGS)
    _, merged = states.merge(paths)
    merged.compute()
    assert (merged.num_images, merged.num_duplicates) == (4, 0)
