"""What breaks the command ends in one line, with the exit code 1, or 2 for arguments."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from detmetrics.cli import main
from tests.cli.commands import ANNOTATIONS, RESULT, torchrun, write


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command ends with."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    *warnings, line = err.splitlines()
    assert all(told.startswith("detmetrics: warning: ") for told in warnings)
    assert line.startswith("detmetrics: error: ")
    return line.removeprefix("detmetrics: error: ")


def test_deep_nesting(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    expected = f"{path}: expected JSON, plain or gzipped, got arrays or objects that are nested too deeply"
    assert fails(["evaluate", small[0], str(path)], capsys) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-detections", str(10**30)], "expected an integer of 1 or more, at most 2147483647, got '1000000"),
        (["--max-detections", "9" * 5000], "expected an integer of 1 or more, at most 2147483647, got '9999999"),
        (["--seed", str(2**64)], "expected an integer from 0 to 2**63 - 1, got '18446744073709551616'"),
        (["--shard", "1/" + "9" * 5000], "expected I/N with 0 <= I < N, such as 0/4, got '1/999"),
    ],
)
def test_numbers_that_are_too_large(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["demo", *arguments])
    assert exit_.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last
    assert len(last) < 200


def test_sizes_of_masks_that_are_too_large(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = [{**RESULT, "segmentation": {"size": [10**30, 10**30], "counts": "0"}}]
    files = [write(tmp_path / "gt.json", ANNOTATIONS | {"annotations": []}), write(tmp_path / "dt.json", masks)]
    line = fails(["evaluate", *files, "--iou-type", "segm"], capsys)
    assert line.startswith(f'{files[1]}: entry 0: "segmentation" of image_id 1: expected a size (H, W) of fewer than ')


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to\nallocate"), "out of memory"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "out of memory"),
        (OverflowError("int too big to convert"), "int too big to convert"),
        (ValueError("one\ntwo \x1b[31m\ud800"), r"one\ntwo \x1b[31m\ud800"),
    ],
    ids=str,
)
def test_errors_of_the_machine(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("detmetrics.cli.evaluate._update", fail)
    assert fails(["demo", "--images", "3"], capsys) == line


def test_faults_of_the_program_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("fault")

    monkeypatch.setattr("detmetrics.cli.evaluate._update", fail)
    with pytest.raises(KeyError):
        main(["demo", "--images", "3"])


def test_max_bytes(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "dt.json.gz"
    packed.write_bytes(gzip.compress(json.dumps([RESULT]).encode()))
    arguments = ["evaluate", small[0], str(packed), "--quiet", "--max-bytes"]
    assert fails([*arguments, "20"], capsys).endswith(
        "expected a file that unpacks to at most 20 bytes, got more; if you trust it, raise max_bytes (--max-bytes)"
    )
    assert main([*arguments, "1KB"]) == 0
    with pytest.raises(SystemExit):
        main([*arguments, "1XB"])


def test_a_shard_without_images_is_told(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--quiet", "--shard", "3/4"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 12
    assert err == "detmetrics: warning: shard 3/4 has none of the 1 images; its numbers are undefined\n"


@pytest.mark.parametrize(
    ("environment", "got"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2, WORLD_SIZE=2, MASTER_ADDR=None, MASTER_PORT=None"),
        ({"WORLD_SIZE": "2"}, "RANK=None, WORLD_SIZE=2, MASTER_ADDR=None, MASTER_PORT=None"),
    ],
)
def test_a_rank_outside_its_process_group(small: list[str], environment: dict[str, str], got: str) -> None:
    command = [sys.executable, "-m", "detmetrics", "evaluate", *small]
    inherited = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        command,
        env={**inherited, "TORCHELASTIC_RUN_ID": "none", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"detmetrics: error: torchrun: expected a RANK below WORLD_SIZE, got {got}\n"


def test_ranks_end_together_with_one_line(small: list[str], tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    done = torchrun("-m", "detmetrics", "evaluate", small[0], str(path))
    told = [line for line in done.stderr.splitlines() if line.startswith("detmetrics: ")]
    assert told == [
        f"detmetrics: error: {path}: expected JSON, plain or gzipped, got arrays or objects that are nested too deeply"
    ]
    state = tmp_path / "no.pt"
    state.write_bytes(b"no state")
    done = torchrun("-m", "detmetrics", "merge", str(state))
    told = [line for line in done.stderr.splitlines() if line.startswith("detmetrics: ")]
    assert told == [f"detmetrics: error: {state}: expected a file written by --save-state"]
