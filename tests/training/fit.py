"""Trains with Lightning. As a script, ``python -m tests.training.fit FOLDER`` does so with DDP on two ranks."""

import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from tests.training import models

MONITORED = {"detection": "val/map", "segmentation": "val/miou"}
VALIDATION = 13  # odd, so that a sampler for two ranks repeats an image
Values = dict[str, torch.Tensor]


class History(Callback):
    """What was logged: at the end of the sanity check, and at the end of each validation."""

    def __init__(self) -> None:
        self.sanity: list[Values] = []
        self.epochs: list[Values] = []

    def on_sanity_check_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.sanity.append(dict(trainer.callback_metrics))

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.epochs.append(dict(trainer.callback_metrics))


class Run(NamedTuple):
    """A finished training."""

    trainer: Trainer
    module: Any
    history: History


FAMILIES = {
    "detection": (models.Detector, models.detection_batch),
    "segmentation": (models.Segmenter, models.segmentation_batch),
}


def loaders(family: str, first: int = 0, count: int = VALIDATION, batch_size: int = 1, **kwargs: Any) -> Any:
    """Images one at a time, since what a net says about an image may depend on its batch in the last bits."""
    return models.loader(models.Rectangles(count, first, **kwargs), FAMILIES[family][1], batch_size)


def trainer(folder: Path, **settings: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    chosen = {"accelerator": "cpu", "devices": 1, "max_epochs": 2, **quiet, **settings}
    return Trainer(default_root_dir=folder, **chosen)


def fit(family: str, folder: Path, *, resume: Any = None, validation: Any = None, **settings: Any) -> Run:
    """Train two epochs, unless ``settings`` of the trainer say otherwise; validate after each."""
    validation = validation or loaders(family)
    module = FAMILIES[family][0](len(validation) if isinstance(validation, list) else 1)
    history = History()
    settings["callbacks"] = [history, *settings.get("callbacks", [])]
    run = trainer(folder, **settings)
    run.fit(module, loaders(family, 100, 16, models.BATCH), validation, ckpt_path=resume)
    return Run(run, module, history)


def main(folder: Path) -> None:
    """Train on two ranks; each writes what was logged, what validating the result gives, and its net."""
    warnings.simplefilter("ignore", PossibleUserWarning)
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for family in FAMILIES:
        key = MONITORED[family]
        best = ModelCheckpoint(folder / family, monitor=key, mode="max")
        callbacks = [best, EarlyStopping(key, mode="max", patience=5)]
        run = fit(family, folder, strategy="ddp", devices=2, callbacks=callbacks)
        run.trainer.save_checkpoint(folder / f"{family}.ckpt")
        epochs = list(run.history.epochs)  # validating again adds to them
        (validated,) = run.trainer.validate(run.module, loaders(family), verbose=False)
        found[family] = {
            "sanity": run.history.sanity,
            "epochs": epochs,
            "best": best.best_model_score,
            "validated": validated,
            "num_images": run.module.f1[0].num_images,
            "num_duplicates": run.module.f1[0].num_duplicates,
            "world size": torch.distributed.get_world_size(),
        }
    torch.save(found, folder / f"{torch.distributed.get_rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
