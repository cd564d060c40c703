"""What new users do first runs as it stands in these files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import classification_report

from detmetrics import DetectionF1Score, MeanAveragePrecision, demo
from tests.examples import faster_rcnn, sklearn_report, unet_lightning, wandb_epochs

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(*command: Any, folder: Path) -> str:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_faster_rcnn_has_an_f1_by_class_and_a_report_of_matched_boxes() -> None:
    scores, matched = faster_rcnn.main()
    assert list(scores) == ["f1/circle", "f1/square", "f1/star"]
    assert all(0 <= value <= 1 for value in scores.values())
    assert matched["support"] == 4  # an untrained model has boxes everywhere: each target is found by one


def test_precision_is_logged_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    history = wandb_epochs.main()
    assert history == sorted(history)
    assert 0 < history[0] < history[-1] < 1


@pytest.mark.filterwarnings("ignore")  # Lightning has much to say about small examples
def test_unet_logs_three_f1_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = unet_lightning.main()
    assert list(results) == ["val/f1_imagewise", "val/f1_macro", "val/f1_micro"]
    assert len(set(results.values())) == 3


def test_the_report_is_that_of_scikit_learn() -> None:
    preds, target, table = sklearn_report.main()
    names = ["cat", "dog", "bird"]
    assert table == classification_report(target.numpy(), preds.numpy(), target_names=names)


def test_two_ranks_give_what_one_process_gives(tmp_path: Path) -> None:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    printed = run(sys.executable, *launch, HERE / "two_ranks.py", folder=tmp_path)
    batch = demo.generate(num_images=25, num_detections=30, num_classes=5)
    ap, f1 = MeanAveragePrecision(), DetectionF1Score(score_threshold=0.3)
    values = [ap(*batch)["map"], f1(*batch)]
    assert printed.split() == [*(f"{value.item():.12f}" for value in values), "25"]


def test_files_on_the_command_line(tmp_path: Path) -> None:
    printed = run("bash", HERE / "coco_file.sh", folder=tmp_path)
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert printed.count("Average Precision") >= 12
    assert 0 < numbers["map"] < 1
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
