"""Lightning trains a torchvision detector and a segmentation net; what it logs is what the metrics say, to the bit."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from detmetrics import functional
from tests.training import fit, models

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec:"),  # of torch, about Lightning
]
each_family = pytest.mark.parametrize("family", fit.FAMILIES)


def assert_same_bits(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for key, value in expected.items():
        one, other = (torch.as_tensor(x, dtype=torch.float64).nan_to_num(-1) for x in (found[key], value))
        assert torch.equal(one, other), key


def last_epoch(run: fit.Run, count: int = fit.VALIDATION) -> list[tuple[Any, Any]]:
    return run.module.seen[-count:]


def recomputed(family: str, seen: list[tuple[Any, Any]]) -> fit.Values:
    """What the functions say about what the net said and should have said, outside of Lightning."""
    preds, target = zip(*seen, strict=True)
    if family == "detection":
        given = [*itertools.chain(*preds)], [*itertools.chain(*target)]
        values = functional.mean_average_precision(*given, **models.MAP_SETTINGS)
        values["f1"] = functional.detection_f1_score(*given, **models.POINT_SETTINGS)
        values["precision"] = functional.detection_precision(*given, **models.POINT_SETTINGS)
        values["recall"] = functional.detection_recall(*given, **models.POINT_SETTINGS)
    else:
        maps = torch.cat(preds), torch.cat(target)
        values = functional.segmentation_iou(*maps, average="none", **models.PIXEL_SETTINGS)
        values["f1"] = functional.segmentation_f1_score(*maps, aggregate="imagewise", **models.PIXEL_SETTINGS)
        values["miou"] = functional.segmentation_iou(*maps, **models.PIXEL_SETTINGS)
        values["dice"] = functional.segmentation_f1_score(*maps, **models.PIXEL_SETTINGS)
    return {f"val/{key}": value for key, value in values.items()}


# --------------------------------------------------------------------------------------------------------- one process


@each_family
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_lightning_logs_the_bits_of_the_functions(family: str, precision: str, tmp_path: Path) -> None:
    run = fit.fit(family, tmp_path, precision=precision, enable_checkpointing=False)
    seen = last_epoch(run)
    assert_same_bits(run.history.epochs[-1], recomputed(family, seen))
    assert 0 < run.history.epochs[-1][fit.MONITORED[family]] < 1
    scores = seen[0][0][0]["scores"] if family == "detection" else seen[0][0]
    assert (scores.dtype == torch.bfloat16) == (precision != "32-true")


@each_family
def test_the_sanity_check_and_every_epoch_log_the_same_keys(family: str, tmp_path: Path) -> None:
    """Two images in the sanity check, only cats in the first epoch, no traffic light ever."""
    module_class, _ = fit.FAMILIES[family]

    class Growing(module_class):  # type: ignore[misc, valid-type]
        def val_dataloader(self) -> Any:
            return fit.loaders(family, labels=(0, 1) if self.current_epoch else (0,))

    module, history = Growing(), fit.History()
    trainer = fit.trainer(
        tmp_path, enable_checkpointing=False, reload_dataloaders_every_n_epochs=1, callbacks=[history], max_epochs=3
    )
    trainer.fit(module, fit.loaders(family, 100, 16, models.BATCH))
    (sanity,) = history.sanity
    for values in (sanity, *history.epochs):
        assert set(values) == set(history.epochs[-1])
        for value in values.values():
            assert (value.ndim, value.dtype, value.device.type) == (0, torch.float64, "cpu")
            assert value != -1
    if family == "detection":  # a segmentation net may paint classes that are not there, which is an IoU of 0
        assert [epoch["val/map/dog"].isnan().item() for epoch in history.epochs] == [True, False, False]
        assert all(values["val/map/traffic light"].isnan() for values in (sanity, *history.epochs))


@each_family
def test_two_validation_loaders(family: str, tmp_path: Path) -> None:
    validation = [fit.loaders(family), fit.loaders(family, first=200, count=5)]
    run = fit.fit(family, tmp_path, validation=validation, enable_checkpointing=False)
    logged, seen = run.history.epochs[-1], last_epoch(run, fit.VALIDATION + 5)
    first, second = recomputed(family, seen[: fit.VALIDATION]), recomputed(family, seen[fit.VALIDATION :])
    expected = {key: value for key, value in first.items() if key != "val/f1"}
    expected |= {"val/f1/dataloader_idx_0": first["val/f1"], "val/f1/dataloader_idx_1": second["val/f1"]}
    assert_same_bits(logged, expected)
    assert first["val/f1"] != second["val/f1"]


@each_family
def test_early_stopping_and_checkpoints_follow_our_keys(family: str, tmp_path: Path) -> None:
    key = fit.MONITORED[family]
    stopping = EarlyStopping(key, mode="max", min_delta=1.0, patience=2)  # no score improves by 1
    best = ModelCheckpoint(
        tmp_path, f"{{epoch}}-{{{key}:.4f}}", monitor=key, mode="max", save_top_k=-1, auto_insert_metric_name=False
    )
    run = fit.fit(family, tmp_path, max_epochs=9, callbacks=[stopping, best])
    scores = [epoch[key].item() for epoch in run.history.epochs]
    assert len(scores) == 3
    assert best.best_model_score is not None
    assert best.best_model_score.item() == max(scores)
    assert sorted(path.stem for path in tmp_path.glob("*.ckpt")) == [f"{i}-{s:.4f}" for i, s in enumerate(scores)]


@pytest.mark.parametrize(("check_finite", "epochs"), [(True, 1), (False, 2)])
def test_early_stopping_at_what_is_undefined(check_finite: bool, epochs: int, tmp_path: Path) -> None:
    stopping = EarlyStopping("val/map/traffic light", mode="max", check_finite=check_finite, patience=5)
    run = fit.fit("detection", tmp_path, enable_checkpointing=False, callbacks=[stopping])
    assert len(run.history.epochs) == epochs


@each_family
@pytest.mark.filterwarnings("ignore:.* seen again with the same target")  # two epochs of the same images
def test_a_resumed_training_logs_the_bits_of_one_that_went_through(family: str, tmp_path: Path) -> None:
    """Also a metric over all training steps, whose state is in the checkpoint."""
    through = fit.fit(family, tmp_path, enable_checkpointing=False)
    first = fit.fit(family, tmp_path, max_epochs=1, enable_checkpointing=False)
    first.trainer.save_checkpoint(tmp_path / "middle.ckpt")
    state = torch.load(tmp_path / "middle.ckpt", weights_only=True)["state_dict"]
    assert {key.partition(".")[0] for key in state} == {"model", "ever"}
    second = fit.fit(family, tmp_path, resume=tmp_path / "middle.ckpt", enable_checkpointing=False)
    assert_same_bits(first.history.epochs[0], through.history.epochs[0])
    assert len(second.history.epochs) == 1
    assert_same_bits(second.history.epochs[0], through.history.epochs[1])
    states = [run.module.ever for run in (second, through)]
    assert states[0].compute() == states[1].compute() == 1
    if family == "detection":
        assert [(metric.num_images, metric.num_duplicates) for metric in states] == [(16, 16)] * 2  # two epochs of 16
    else:
        totals = [metric.totals("totals") for metric in states]
        assert torch.equal(*totals)
        assert totals[0][:, 0].sum() == 2 * 16 * models.SIZE * (models.SIZE - 1)  # without the row of 255


# ----------------------------------------------------------------------------------------------------------- two ranks


@pytest.fixture(scope="module")
def ddp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training on two ranks, which Lightning starts as processes."""
    folder = tmp_path_factory.mktemp("ddp")
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.fit", str(folder)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@each_family
def test_two_ranks_give_the_bits_of_one_process(ddp: Path, family: str, tmp_path: Path) -> None:
    """13 images, so that Lightning's sampler repeats one; the net is the one that the ranks have trained."""
    module = fit.FAMILIES[family][0]()
    module.load_state_dict(torch.load(ddp / f"{family}.ckpt", weights_only=True)["state_dict"])
    (alone,) = fit.trainer(tmp_path).validate(module, fit.loaders(family), verbose=False)
    assert (module.f1[0].num_images, module.f1[0].num_duplicates) == (fit.VALIDATION, 0)
    for rank in range(2):
        found = torch.load(ddp / f"{rank}.pt", weights_only=True)[family]
        assert found["world size"] == 2
        assert (found["num_images"], found["num_duplicates"]) == (fit.VALIDATION, 1)
        assert_same_bits(found["validated"], alone)
        assert_same_bits(found["epochs"][-1], alone)
    assert 0 < alone[fit.MONITORED[family]] < 1


@each_family
def test_both_ranks_log_the_same_in_every_epoch(ddp: Path, family: str) -> None:
    ranks = [torch.load(ddp / f"{rank}.pt", weights_only=True)[family] for rank in range(2)]
    assert [len(ranks[0][key]) for key in ("sanity", "epochs")] == [1, 2]
    for key in ("sanity", "epochs"):
        for first, second in zip(ranks[0][key], ranks[1][key], strict=True):
            assert_same_bits(first, second)
    scores = [epoch[fit.MONITORED[family]] for epoch in ranks[0]["epochs"]]
    assert all(rank["best"] == max(scores) for rank in ranks)
