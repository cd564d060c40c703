"""What goes to TensorBoard and to Weights & Biases comes out of their files again."""

import json
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
import wandb
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from wandb.proto.wandb_internal_pb2 import Record

from detmetrics import DetectionConfusionMatrix, DetectionCurves
from detmetrics.detection.curves import ScoreCurves
from tests.training import fit, models, registry

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec:"),  # of torch, about Lightning
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the loggers themselves
]
each_family = pytest.mark.parametrize("family", fit.FAMILIES)


@pytest.fixture(autouse=True, scope="module")
def without_display() -> None:
    matplotlib.use("agg")


def pooled(curves: ScoreCurves) -> Tensor:
    """Score, precision and recall of all classes pooled, (P, 3)."""
    start, end = curves.offsets[-2:].tolist()
    return torch.stack([curves.scores, curves.precision, curves.recall], dim=1)[start:end]


def fed(metric: Any) -> Any:
    metric.update(*registry.detections())
    return metric


def confusion_matrix() -> DetectionConfusionMatrix:
    return DetectionConfusionMatrix(class_names=registry.NAMES)


def matrix_figure(matrix: Tensor) -> Figure:
    figure = Figure()
    figure.subplots().imshow(matrix)
    return figure


def curve_figure(curves: ScoreCurves) -> Figure:
    figure = Figure()
    _, precision, recall = pooled(curves).unbind(1)
    figure.subplots().plot(recall, precision)
    return figure


# ---------------------------------------------------------------------------------------------------------- TensorBoard


def events(folder: Path) -> EventAccumulator:
    """The events of the one file below a folder."""
    (path,) = folder.rglob("events.out.tfevents.*")
    return EventAccumulator(str(path)).Reload()


@each_family
def test_tensorboard_has_every_scalar_of_every_epoch(family: str, tmp_path: Path) -> None:
    """As float32, which is what TensorBoard stores; undefined ones as NaN."""
    logger = TensorBoardLogger(tmp_path)
    run = fit.fit(family, tmp_path, logger=logger, enable_checkpointing=False)
    found = events(tmp_path)
    assert set(found.Tags()["scalars"]) == {*run.history.epochs[0], "epoch"}
    for key in run.history.epochs[0]:
        logged = [event.value for event in found.Scalars(key)]
        expected = [np.float32(epoch[key].item()) for epoch in run.history.epochs]
        np.testing.assert_array_equal(np.float32(logged), expected)


def test_tensorboard_has_figures(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("val/curve", curve_figure(fed(DetectionCurves()).compute()), 1)
        writer.add_figure("val/confusion", matrix_figure(fed(confusion_matrix()).compute()), 1)
    found = events(tmp_path)
    assert set(found.Tags()["images"]) == {"val/curve", "val/confusion"}
    for key in ("val/curve", "val/confusion"):
        (image,) = found.Images(key)
        assert image.encoded_image_string.startswith(b"\x89PNG")
        assert (image.step, image.width > 100, image.height > 100) == (1, True, True)


def test_loggers_take_the_figures_of_metrics(tmp_path: Path, offline: Path) -> None:
    figures = {"curve": fed(DetectionCurves()).plot()[0], "confusion": fed(confusion_matrix()).plot()[0]}
    with SummaryWriter(tmp_path) as writer:
        for key, figure in figures.items():
            writer.add_figure(key, figure, 1, close=False)
    found = events(tmp_path)
    with wandb.init(project="detmetrics", mode="offline", dir=offline) as run:
        run.log({key: wandb.Image(figure) for key, figure in figures.items()})
    (row,) = history(offline)
    for key in figures:
        (image,) = found.Images(key)
        assert image.encoded_image_string.startswith(b"\x89PNG")
        assert media(offline, row, key).startswith(b"\x89PNG")


# ----------------------------------------------------------------------------------------------------- Weights & Biases

BLOCK = 1 << 15  # the file is a LevelDB log: blocks of chunks, each with a header of checksum, length and type
FULL, FIRST, LAST = 1, 2, 4


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path))
    wandb.teardown()  # settings that anything before has read from another environment
    yield tmp_path
    wandb.teardown()


def records(folder: Path) -> Iterator[Record]:
    """The records of the one run below a folder, as far as they have been written."""
    paths = list(folder.rglob("run-*.wandb"))
    assert len(paths) <= 1
    data, at, parts = b"".join(path.read_bytes() for path in paths), 7, b""  # seven bytes say what the file is
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no header fits into the rest of a block
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if at + 7 + length > len(data):
            break
        parts = data[at + 7 : at + 7 + length] if kind in (FULL, FIRST) else parts + data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record


def history(folder: Path) -> list[dict[str, Any]]:
    """What each call of ``log`` has logged, once the process that writes the file is done with it."""
    wandb.teardown()
    kinds, deadline = [""], time.monotonic() + 60
    while "exit" not in kinds and time.monotonic() < deadline:
        time.sleep(0.05)
        found = list(records(folder))
        kinds = [record.WhichOneof("record_type") for record in found]
    assert "exit" in kinds
    rows = [record.history.item for record in found if record.WhichOneof("record_type") == "history"]
    return [{(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in row} for row in rows]


def media(folder: Path, row: dict[str, Any], key: str) -> bytes:
    """The file of a table or an image, whose path is what the history has."""
    (path,) = folder.rglob(Path(row[f"{key}/path"]).name)
    return path.read_bytes()


@each_family
def test_wandb_has_every_scalar_of_every_epoch_to_the_bit(family: str, offline: Path) -> None:
    logger = WandbLogger(save_dir=offline, offline=True, project="detmetrics")
    run = fit.fit(family, offline, logger=logger, enable_checkpointing=False)
    wandb.finish()
    rows = [row for row in history(offline) if "val/f1" in row]
    assert len(rows) == 2
    for row, epoch in zip(rows, run.history.epochs, strict=True):
        assert set(epoch) <= set(row)
        for key, value in epoch.items():
            assert torch.equal(as_float(row[key]).nan_to_num(-1), value.nan_to_num(-1)), key


def as_float(value: Any) -> Tensor:
    return torch.tensor(float(value), dtype=torch.float64)  # "NaN" is a string there


def test_wandb_has_the_curve_and_the_confusion_matrix(offline: Path) -> None:
    curves = fed(DetectionCurves()).compute()
    confusion = fed(confusion_matrix()).compute()
    names = [*registry.NAMES, "background"]
    rows = [[a, b, confusion[i, j].item()] for i, a in enumerate(names) for j, b in enumerate(names)]
    with wandb.init(project="detmetrics", mode="offline", dir=offline) as run:
        run.log({f"val/{key}": value for key, value in curves.scalars().items()})
        run.log({"val/curve": wandb.Table(["score", "precision", "recall"], pooled(curves).tolist())})
        run.log({"val/confusion": wandb.Table(["target", "predicted", "count"], rows)})
        run.log({"val/figure": wandb.Image(curve_figure(curves))})
    scalars, curve, matrix, figure = history(offline)
    for key, value in curves.scalars().items():
        assert scalars[f"val/{key}"] == value.item()
    found = json.loads(media(offline, curve, "val/curve"))
    assert found["columns"] == ["score", "precision", "recall"]
    assert found["data"] == pooled(curves).tolist()
    assert json.loads(media(offline, matrix, "val/confusion"))["data"] == rows
    assert sum(row[2] for row in rows) > 0
    assert media(offline, figure, "val/figure").startswith(b"\x89PNG")


# ----------------------------------------------------------------------------------------------------------------- keys


@each_family
def test_keys_have_nothing_that_a_logger_could_replace(family: str, tmp_path: Path) -> None:
    """Letters, digits and ``_``, below one ``/``, and the names of the classes as they are."""
    keys = set(fit.fit(family, tmp_path, enable_checkpointing=False).history.epochs[0])
    plain = {key for key in keys if not any(key.endswith(f"/{name}") for name in models.PIXEL_NAMES)}
    assert len(plain) >= 3
    assert all(re.fullmatch(r"val/[a-z0-9_]+", key) for key in plain)
