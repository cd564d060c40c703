"""Random edits of files: the command ends with 0, with 1 and one line, or with 2; never otherwise."""

import contextlib
import copy
import gzip
import io
import json
import random
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools import mask

from detmetrics.cli import main
from detmetrics.files import states
from tests.files.documents import ANNOTATIONS, RESULTS

FEW, MANY = 150, 3000
MOST_SECONDS, MOST_KB = 10, 1_000_000

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 2.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**30, 3_000_000_000, 20_000, 3e7),
    *("", "9", "x" * 1000, "\ud800", "\n\x1b[31m", "00", "~", "P" * 20, "16T4o0"),
    *([], [[]], {}, [0], [0, 0, 1], [[0, 0, 3e9, 0, 3e9, 3e9]], [[0, 0]], [[1, 1, 2, 2]], [[0] * 7]),
    *([0, 0, 0, 0], [-5, -5, 1, 1], [0, 0, 1e30, 1e30], {"size": [10**30, 1], "counts": "0"}, {"size": [8, 10]}),
    *({"size": [65536, 65535], "counts": [65536 * 65535]}, {"size": [20_000, 20_000], "counts": [5, 400_000_000 - 5]}),
    {"size": [8, 10], "counts": [2**32, -(2**32) + 80]},
]

SQUARE = [[2, 2, 6, 2, 6, 6, 2, 6]]
RUNS = {"size": [8, 10], "counts": [16, 4, 4, 4, 52]}
CHARACTERS = {"size": [8, 10], "counts": mask.frPyObjects(RUNS, 8, 10)["counts"].decode()}
MASK_ANNOTATIONS = {
    "images": [{"id": 3, "height": 8, "width": 10, "file_name": "a.jpg"}, {"id": 1, "height": 8, "width": 10}],
    "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}],
    "annotations": [
        {"id": n, "image_id": 3, "category_id": 5, "segmentation": value, "area": 16.0, "iscrowd": n % 2}
        for n, value in enumerate([SQUARE, RUNS, CHARACTERS], start=1)
    ],
}
MASK_RESULTS = [
    {"image_id": 3, "category_id": 5, "score": n / 8, "segmentation": value}
    for n, value in enumerate([SQUARE, RUNS, CHARACTERS])
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: a container and a key or an index."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


def edit_document(document: Any, rng: random.Random) -> None:
    """Change, remove, repeat or swap something somewhere."""
    found = places(document)
    if not found:
        return
    container, key = rng.choice(found)
    kind = rng.randrange(6)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[key]))
    elif kind == 2:
        other, place = rng.choice(found)
        container[key] = copy.deepcopy(other[place] if isinstance(other, dict) else other[place % max(len(other), 1)])
    elif kind == 3 and isinstance(container[key], int | float):
        container[key] = container[key] * rng.choice([-1, 0, 0.5, 10, 1e9])
    else:
        container[key] = copy.deepcopy(rng.choice(ODD))


def edit_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, flip or repeat bytes."""
    at, length = rng.randrange(len(content) + 1), rng.randrange(1, 40)
    middle = rng.choice([b"", bytes(rng.randrange(256) for _ in range(length)), content[at : at + length] * 2])
    return content[:at] + middle + content[at + length :]


def written(document: Any, rng: random.Random) -> bytes:
    """A file with a document, sometimes gzipped, nested, or damaged."""
    content = json.dumps(document).encode()
    if rng.random() < 0.05:
        content = content.replace(b"0", b"[" * 100_000 + b"0", 1)
    if rng.random() < 0.1:
        content = gzip.compress(content)
    return edit_bytes(content, rng) if rng.random() < 0.1 else content


def ends_well(arguments: list[str]) -> int:
    """Run the command, hold it to its word, and return its exit code."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = main([*arguments, "--quiet"])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    lines = err.getvalue().splitlines()
    assert time.perf_counter() - start < MOST_SECONDS, lines
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KB, lines
    assert code in (0, 1, 2)
    assert all(re.match(r"detmetrics: (warning|error): ", line) for line in lines), lines
    assert sum(line.startswith("detmetrics: error: ") for line in lines) == (code == 1), lines
    return code


def edit_files(
    folder: Path, annotations: Any, results: Any, seeds: range, options: Callable[[random.Random], list[str]]
) -> None:
    codes = set()
    for seed in seeds:
        rng = random.Random(seed)
        documents = copy.deepcopy([annotations, results])
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            edit_document(documents, rng)
        paths = [folder / "gt.json", folder / "dt.json"]
        for path, document in zip(paths, [*documents, None, None], strict=False):
            path.write_bytes(written(document, rng))
        try:
            codes.add(ends_well(["evaluate", *map(str, paths), *options(rng)]))
        except BaseException as error:
            error.add_note(f"seed {seed}") if hasattr(error, "add_note") else None
            raise
    assert {0, 1} <= codes  # some edits leave files that can be read


# Of files of keypoints boxes are read too, and results have none unless their writer adds them.
KEYPOINT_ANNOTATIONS = {
    **ANNOTATIONS,
    "images": [{**row, "crowdIndex": n / 2} for n, row in enumerate(ANNOTATIONS["images"])],
    "categories": [
        {**row, "keypoints": ["nose", "tail"], "skeleton": [[1, 2]], "supercategory": "animal"}
        for row in ANNOTATIONS["categories"]
    ],
    "annotations": [{**row, "keypoints": [3, 3, 2, 0, 0, 0], "num_keypoints": 1} for row in ANNOTATIONS["annotations"]],
}
KEYPOINT_RESULTS: list[dict[str, Any]] = [{**row, "keypoints": [3.5, 3, 1, 5, 5, 0.5]} for row in RESULTS]

BOXES = "boxes", ANNOTATIONS, RESULTS, lambda rng: rng.choice([[], ["--per-class"], ["--shard", "1/3"]])
MASKS = "masks", MASK_ANNOTATIONS, MASK_RESULTS, lambda rng: ["--iou-type", rng.choice(["segm", "segm", "boundary"])]
KEYPOINTS = (
    "keypoints",
    KEYPOINT_ANNOTATIONS,
    KEYPOINT_RESULTS,
    lambda rng: rng.choice([[], *[["--iou-type", "keypoints", "--keypoint-sigmas", "0.1", "0.05"]] * 3]),
)


@pytest.mark.parametrize("files", [BOXES, MASKS, KEYPOINTS], ids=lambda files: files[0])
def test_edited_coco_files(tmp_path: Path, files: Any) -> None:
    edit_files(tmp_path, *files[1:3], range(FEW), files[3])


@pytest.mark.slow
@pytest.mark.parametrize("files", [BOXES, MASKS, KEYPOINTS], ids=lambda files: files[0])
def test_many_edited_coco_files(tmp_path: Path, files: Any) -> None:
    edit_files(tmp_path, *files[1:3], range(FEW, MANY), files[3])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    gt, dt, path = (tmp_path / name for name in ("gt.json", "dt.json", "state.pt"))
    gt.write_text(json.dumps(ANNOTATIONS))
    dt.write_text(json.dumps(RESULTS))
    ends_well(["evaluate", str(gt), str(dt), "--save-state", str(path)])
    return path


def edit_state(document: dict[str, Any], rng: random.Random) -> None:
    """Change a cell, a shape, a type, a setting or a key."""
    kind = rng.randrange(6)
    names = [name for name, chunks in document["state"].items() if chunks]
    if kind == 0:
        del document[rng.choice(list(document))]
    elif kind == 1:
        part = rng.choice([document, document["settings"], document["state"]])
        part[rng.choice([*part, "other"])] = copy.deepcopy(rng.choice([x for x in ODD if not isinstance(x, str)]))
    elif kind == 2:
        edit_document(document["settings"], rng)
    elif kind == 3:
        chunks = document["state"][rng.choice(names)]
        chunks[0] = rng.choice([chunks[0][:-1], chunks[0].T, chunks[0].float(), chunks[0][0, 0], chunks[0][:, :1]])
    else:
        cells = document["state"][rng.choice(names)][0].view(-1)
        values = [0, 1, -1, 7, 2**31, 2**62, -(2**63), 0x7FF8 << 48, rng.getrandbits(62)]
        cells[rng.randrange(len(cells))] = rng.choice(values)


def edit_states(path: Path, seeds: range) -> None:
    content = path.read_bytes()
    codes = set()
    for seed in seeds:
        rng = random.Random(seed)
        path.write_bytes(content)
        if rng.random() < 0.2:
            path.write_bytes(edit_bytes(content, rng))
        else:
            document = torch.load(path, weights_only=True)
            edit_state(document, rng)
            if rng.random() < 0.6 and all(isinstance(document.get(key), dict) for key in ("settings", "state")):
                with contextlib.suppress(Exception):  # a checksum that fits what was edited
                    document["checksum"] = states.checksum(
                        *(document.get(key) for key in ("settings", "state", "image_ids"))
                    )
            torch.save(document, path)
        try:
            codes.add(ends_well(["merge", str(path)]))
        except BaseException as error:
            error.add_note(f"seed {seed}") if hasattr(error, "add_note") else None
            raise
    assert {0, 1} <= codes


def test_edited_states(state: Path) -> None:
    edit_states(state, range(FEW))


@pytest.mark.slow
def test_many_edited_states(state: Path) -> None:
    edit_states(state, range(FEW, MANY))
