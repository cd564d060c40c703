"""PQ of COCO's panoptic format: published data, a slow loop, and what is wrong with files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from detmetrics import PanopticQuality
from detmetrics.cli import main
from detmetrics.files.panoptic import read_segment_ids
from tests.cli.commands import numbers, torchrun, write

Ids = NDArray[Any]


def colours(ids: Ids) -> Image.Image:
    return Image.fromarray(np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8))


def save_side(root: Path, name: str, categories: list[dict[str, Any]], maps: list[Ids], infos: list[Any]) -> str:
    """A JSON file and its folder of PNG files."""
    (root / name).mkdir(parents=True, exist_ok=True)
    annotations = []
    for i, (ids, info) in enumerate(zip(maps, infos, strict=True)):
        colours(ids).save(root / name / f"{i}.png")
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": info})
    return write(root / f"{name}.json", {"categories": categories, "annotations": annotations})


def test_panopticapi_s_sample_against_itself(data_root: Path, tmp_path: Path) -> None:
    root = data_root / "panopticapi_sample"
    document = json.loads((root / "panoptic_examples.json").read_text())
    document["categories"] = json.loads((root / "panoptic_coco_categories.json").read_text())
    path = write(tmp_path / "gt.json", document)
    folders = ["--gt-folder", str(root / "panoptic_examples"), "--pred-folder", str(root / "panoptic_examples")]
    found = numbers("panoptic", path, path, *folders, out=tmp_path / "1.json")
    assert [found[f"{score}{group}"] for score in ("pq", "sq", "rq") for group in ("", "_things", "_stuffs")] == [1] * 9
    assert found["pq/person"] == 1


def deeplab2(root: Path, tmp_path: Path, names: list[str]) -> list[str]:
    """The published instances and classes as files in COCO's format; class 0 is void."""
    folder, meta = root / "deeplab2_pq" / "testdata", json.loads((root / "deeplab2_pq" / "META.json").read_text())
    sides: dict[str, tuple[list[Ids], list[Any]]] = {"gt": ([], []), "pred": ([], [])}
    for name in names:
        gt = f"{name}_gt_instance.png" if name == "team" else f"{name}_gt.png"
        pictures = [np.asarray(Image.open(folder / file).convert("RGB")).astype(np.int64)
                    for file in (gt, f"{name}_pred_instance.png", f"{name}_pred_class.png")]  # fmt: skip
        classes = meta["gt_instance_to_class"][gt]
        wanted = np.vectorize(lambda value, classes=classes: classes[str(value)])(pictures[0][..., 0])
        found = np.zeros_like(wanted)
        for colour, label in meta["class_colours_rgb"].items():
            found[(pictures[2] == [int(x) for x in colour.split(",")]).all(-1)] = label
        for side, labels, instance in (("gt", wanted, pictures[0]), ("pred", found, pictures[1])):
            ids = np.where(labels > 0, labels * 256 + instance[..., 0], 0)
            sides[side][0].append(ids)
            sides[side][1].append([{"id": i, "category_id": i // 256} for i in np.unique(ids).tolist() if i])
    categories = [{"id": i, "name": f"class {i}", "isthing": 1} for i in range(1, 7)]
    return [save_side(tmp_path, side, categories, *content) for side, content in sides.items()]


def test_deeplab2_s_recorded_numbers(data_root: Path, tmp_path: Path) -> None:
    recorded = json.loads((data_root / "deeplab2_pq" / "META.json").read_text())["recorded"]
    for names, key in ((["team"], "team PQ,SQ,RQ,TP,FN,FP"), (["bird", "cat", "team"], "bird+cat+team")):
        files = deeplab2(data_root, tmp_path / str(len(names)), names)
        found = numbers("panoptic", *files, out=tmp_path / "1.json")
        assert [found[name] for name in ("pq", "sq", "rq")] == pytest.approx(recorded[key][:3], abs=1e-7)


CATEGORIES = [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "dog", "isthing": 1},
              {"id": 7, "name": "sky", "isthing": 0}]  # fmt: skip


def random_files(root: Path, num_images: int, seed: int) -> list[str]:
    """Maps with voids, crowds, ids up to 2**24 - 1 and predictions that are jittered targets."""
    generator = np.random.default_rng(seed)
    sides: dict[str, tuple[list[Ids], list[Any]]] = {"gt": ([], []), "pred": ([], [])}
    for _ in range(num_images):
        labels = generator.integers(0, 6, (4, 5)).repeat(3, axis=0).repeat(3, axis=1)
        known = generator.choice(np.arange(1, 1 << 24), 6, replace=False)
        known[0] = 0
        guess = np.where(generator.random(labels.shape) < 0.85, labels, generator.integers(0, 6, labels.shape))
        category = generator.choice([1, 2, 7], 6)
        for side, own in (("gt", labels), ("pred", guess)):
            info = [{"id": int(known[i]), "category_id": int(category[i])} for i in np.unique(own) if i]
            if side == "gt":
                info = [{**segment, "iscrowd": int(generator.random() < 0.2)} for segment in info]
            sides[side][0].append(known[own])
            sides[side][1].append(info)
    return [save_side(root, side, CATEGORIES, *content) for side, content in sides.items()]


def slow(files: list[str], threshold: float = 0.5) -> dict[str, float]:
    """panopticapi's ``pq_compute``, by sets of pixels."""
    sides = [json.loads(Path(file).read_text()) for file in files]
    tally = {c["id"]: [0.0, 0, 0, 0] for c in CATEGORIES}
    for truth, found in zip(*(side["annotations"] for side in sides), strict=True):
        pixels = []
        for file, entry in zip(files, (truth, found), strict=True):
            rgb = np.asarray(Image.open(Path(file).with_suffix("") / entry["file_name"])).astype(int)
            ids = (rgb @ [1, 256, 65536]).ravel()
            pixels.append({int(i): set(np.flatnonzero(ids == i).tolist()) for i in np.unique(ids)})
        crowds = {s["id"]: s["category_id"] for s in truth["segments_info"] if s["iscrowd"]}
        void = pixels[0].get(0, set())
        matched_targets, matched = set(), set()
        for t in truth["segments_info"]:
            for p in found["segments_info"]:
                if t["iscrowd"] or t["category_id"] != p["category_id"]:
                    continue
                a, b = pixels[0][t["id"]], pixels[1][p["id"]]
                iou = len(a & b) / len((a | b) - (b & void))
                if iou > threshold:
                    tally[t["category_id"]][0] += iou
                    tally[t["category_id"]][1] += 1
                    matched_targets.add(t["id"]), matched.add(p["id"])
        for t in truth["segments_info"]:
            tally[t["category_id"]][3] += t["id"] not in matched_targets and not t["iscrowd"]
        for p in found["segments_info"]:
            own = pixels[1][p["id"]]
            left = void.union(*(pixels[0][i] for i, label in crowds.items() if label == p["category_id"]))
            tally[p["category_id"]][2] += p["id"] not in matched and len(own & left) / len(own) <= 0.5
    pq = {label: iou / (tp + fp / 2 + fn / 2) for label, (iou, tp, fp, fn) in tally.items()}
    return {"pq": sum(pq.values()) / 3, "pq_things": (pq[1] + pq[2]) / 2, "pq_stuffs": pq[7], "pq/dog": pq[2]}


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_loop(tmp_path: Path, seed: int) -> None:
    files = random_files(tmp_path, 7, seed)
    for threshold in (0.5, 0.7):
        found = numbers("panoptic", *files, "--threshold", str(threshold), out=tmp_path / "1.json")
        expected = slow(files, threshold)
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-12)


def test_shards_workers_and_ranks_give_the_same_bits(tmp_path: Path) -> None:
    files = random_files(tmp_path, 11, 5)
    numbers("panoptic", *files, "--workers", "1", out=tmp_path / "whole.json")
    whole = (tmp_path / "whole.json").read_text()
    numbers("panoptic", *files, "--workers", "2", out=tmp_path / "1.json")
    assert (tmp_path / "1.json").read_text() == whole
    states = [str(tmp_path / f"{i}.pt") for i in range(2)]
    for i, state in enumerate(states):
        numbers("panoptic", *files, "--shard", f"{i}/2", "--save-state", state, out=tmp_path / "part.json")
    numbers("merge", *reversed(states), out=tmp_path / "2.json")
    assert (tmp_path / "2.json").read_text() == whole
    outputs = ["--json", str(tmp_path / "3.json"), "--save-state", str(tmp_path / "ranks.pt")]
    done = torchrun("-m", "detmetrics", "panoptic", *files, *outputs)
    assert done.returncode == 0, done.stderr
    numbers("merge", str(tmp_path / "ranks.pt"), out=tmp_path / "4.json")
    assert (tmp_path / "4.json").read_text() == whole
    assert (tmp_path / "3.json").read_text() == whole


def test_boundary(tmp_path: Path) -> None:
    files = random_files(tmp_path, 3, 0)
    metric = PanopticQuality([1, 2], [7], boundary=True)
    sides = [json.loads(Path(file).read_text())["annotations"] for file in files]
    for i, (truth, found) in enumerate(zip(*sides, strict=True)):
        maps = [
            torch.from_numpy(read_segment_ids(str(Path(file).with_suffix("") / f"{i}.png")))[None] for file in files
        ]
        metric.update(maps[1], maps[0], [found["segments_info"]], [truth["segments_info"]])
    found = numbers("panoptic", *files, "--boundary", out=tmp_path / "2.json")
    assert found["pq"] == metric.compute()["pq"].item()
    assert found["pq"] != numbers("panoptic", *files, out=tmp_path / "1.json")["pq"]


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = np.array([[5, 5, 5, 9]])
    info = [[{"id": 5, "category_id": 1}, {"id": 9, "category_id": 7}]]
    files = [save_side(tmp_path, "gt", CATEGORIES, [ids], info), save_side(tmp_path, "pred", CATEGORIES, [ids], info)]
    assert main(["panoptic", *files, "--per-class", "--quiet"]) == 0
    assert capsys.readouterr() == (
        """                     PQ        SQ        RQ  segments

         cat     1.0000    1.0000    1.0000         1
         dog        nan       nan       nan         0
         sky     1.0000    1.0000    1.0000         1

         all     1.0000    1.0000    1.0000         2
      things     1.0000    1.0000    1.0000         1
       stuff     1.0000    1.0000    1.0000         1
""",
        "",
    )


def _edit(key: str, value: Any) -> Callable[[Any], None]:
    def edit(document: Any) -> None:
        *path, last = key.split("/")
        for part in path:
            document = document[int(part) if part.isdigit() else part]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return edit


SEGMENTS = "annotations/0/segments_info"


@pytest.mark.parametrize(
    ("side", "key", "value", "message"),
    [
        ("gt", "categories", None, "{gt}.json: expected a list of objects as 'categories', got "),
        ("gt", "categories/0/isthing", 2, "{gt}.json: categories: entry 0: expected 0 or 1 as 'isthing', got 2"),
        ("gt", "categories/0/id", 7, "{gt}.json: categories: entry 2: expected distinct ids, got 7 twice"),
        ("gt", "annotations", {}, "{gt}.json: expected a list of objects as 'annotations', got "),
        (
            "pred",
            "annotations",
            [],
            "{pred}.json: annotations: expected one for image_id 0, got none; 2 images have none",
        ),
        (
            "pred",
            "annotations/1/image_id",
            0,
            "{pred}.json: annotations: entry 1: expected one annotation for each image",
        ),
        (
            "pred",
            "annotations/0/file_name",
            "../../x",
            "{pred}.json: annotations: entry 0: expected a file_name within ",
        ),
        ("pred", "annotations/0/file_name", "no.png", "[Errno 2] No such file or directory: '{pred}/no.png'"),
        ("pred", SEGMENTS, None, "{pred}.json: annotations: entry 0: expected a list of objects as 'segments_info'"),
        (
            "pred",
            f"{SEGMENTS}/0/id",
            0,
            "{pred}.json: annotations: entry 0: segments_info: entry 0: expected an integer from",
        ),
        (
            "pred",
            f"{SEGMENTS}/0/category_id",
            3,
            "{pred}.json: annotations: entry 0: segments_info: entry 0: expected a cat",
        ),
        ("pred", f"{SEGMENTS}/0/id", 77, "{pred}/0.png: expected "),
        ("gt", SEGMENTS, [], "{gt}/0.png: expected an id of its dicts (0 is void), got "),
    ],
)
def test_bad_documents(
    tmp_path: Path, side: str, key: str, value: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = random_files(tmp_path, 2, 0)
    path = tmp_path / f"{side}.json"
    document = json.loads(path.read_text())
    _edit(key, value)(document)
    write(path, document)
    fails(files, message.format(gt=tmp_path / "gt", pred=tmp_path / "pred"), capsys)


def fails(files: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["panoptic", *files]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"detmetrics: error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Image.new("L", (15, 12)), "expected colours, R + 256 G + 65536 B, got mode L"),
        (Image.new("RGB", (15, 13)), "expected the shape of "),
        (None, "cannot read it: "),
    ],
)
def test_bad_pictures(
    tmp_path: Path, content: Image.Image | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = random_files(tmp_path, 2, 0)
    path = tmp_path / "pred" / "1.png"
    if content is None:
        path.write_bytes(path.read_bytes()[:60])
    else:
        content.save(path)
    fails(files, f"{path}: {message}", capsys)


def test_predictions_of_other_images_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = random_files(tmp_path, 2, 0)
    document = json.loads(Path(files[1]).read_text())
    document["annotations"].append({"image_id": "odd", "file_name": "0.png", "segments_info": []})
    write(Path(files[1]), document)
    assert main(["panoptic", *files, "--quiet"]) == 0
    told = capsys.readouterr().err
    assert "annotations: 1 are of images that " in told
    assert told.endswith("such as image_id 'odd': left out\n")
