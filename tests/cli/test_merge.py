"""The command on several ranks and machines."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import torch

from detmetrics.cli import main
from tests.cli.commands import numbers, torchrun


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``annotations.json``, ``results.json``, and in ``whole.json`` and ``whole.txt`` what they give."""
    folder = tmp_path_factory.mktemp("generated")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        arguments = ["demo", "--images", "25", "--classes", "6", "--save", str(folder), "--quiet", "--per-class"]
        assert main([*arguments, "--json", str(folder / "whole.json")]) == 0
    (folder / "whole.txt").write_text(printed.getvalue())
    return folder


def files(folder: Path) -> list[str]:
    return [str(folder / "annotations.json"), str(folder / "results.json")]


def save_shard(folder: Path, shard: str, out: Path, *more: str) -> str:
    """Evaluate as a machine of its own would, and return the path of the state."""
    numbers("evaluate", *files(folder), "--shard", shard, "--save-state", str(out), *more, out=out.with_suffix(".json"))
    return str(out)


@pytest.fixture
def states(generated: Path, tmp_path: Path) -> list[str]:
    return [save_shard(generated, f"{i}/3", tmp_path / f"{i}.pt") for i in range(3)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 0, 2, 1]], ids=str)
def test_merged_states_give_the_bits_of_one_run(
    generated: Path, states: list[str], tmp_path: Path, order: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "merged.json"
    assert main(["merge", *(states[i] for i in order), "--per-class", "--json", str(out)]) == 0
    printed, told = capsys.readouterr()
    assert out.read_bytes() == (generated / "whole.json").read_bytes()
    assert printed == (generated / "whole.txt").read_text()
    *before, last = told.splitlines()
    assert last.startswith("detmetrics: 25 images in ")
    assert len(before) == (order == [1, 0, 2, 1])
    assert all(": 8 images (ids " in line for line in before)  # 25 images: shards of 9, 8 and 8


def test_a_shard_has_other_numbers(generated: Path, states: list[str], tmp_path: Path) -> None:
    whole = json.loads((generated / "whole.json").read_text())
    assert all(numbers("merge", state, out=tmp_path / "one.json")["map"] != whole["map"] for state in states)


def test_a_merged_state_is_a_state(generated: Path, states: list[str], tmp_path: Path) -> None:
    two = str(tmp_path / "two.pt")
    numbers("merge", *states[:2], "--save-state", two, out=tmp_path / "two.json")
    numbers("merge", states[2], two, "--per-class", out=tmp_path / "three.json")
    assert (tmp_path / "three.json").read_bytes() == (generated / "whole.json").read_bytes()


def test_merged_states_answer_other_questions(generated: Path, states: list[str], tmp_path: Path) -> None:
    asked = ["--iou-thresholds", "0.3", "0.6", "--max-detections", "5", "2"]
    merged = numbers("merge", *states, *asked, out=tmp_path / "merged.json")
    assert merged == pytest.approx(
        numbers("evaluate", *files(generated), *asked, out=tmp_path / "new.json"), nan_ok=True
    )
    assert (tmp_path / "merged.json").read_bytes() == (tmp_path / "new.json").read_bytes()
    assert {key for key in merged if key.startswith("mar_") and key[4:].isdigit()} == {"mar_2", "mar_5"}


def test_states_that_do_not_add_up(
    generated: Path, small: list[str], states: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lower = save_shard(generated, "0/1", tmp_path / "lower.pt", "--iou-thresholds", "0.05")
    cats = str(tmp_path / "cats.pt")
    numbers("evaluate", *small, "--save-state", cats, out=tmp_path / "cats.json")
    text, other = tmp_path / "text.pt", tmp_path / "other.pt"
    text.write_text("no state")
    torch.save({"format": "another"}, other)
    capsys.readouterr()
    for paths, message in (
        ([states[0], lower], f"error: {lower}: MeanAveragePrecision: expected the states "),
        ([states[0], cats], f"error: {cats}: expected the categories of {states[0]}, got others\n"),
        ([str(text)], f"error: {text}: expected a file written by --save-state"),
        ([states[0], str(other)], f"error: {other}: expected a file written by --save-state"),
        ([str(tmp_path / "none.pt")], "No such file or directory"),
        ([states[0], "--iou-thresholds", "0.05"], "error: iou_thresholds: expected 0.1 or more, got 0.05"),
    ):
        assert main(["merge", *paths]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert message in err


@pytest.mark.parametrize("shard", ["1", "2/2", "-1/2", "a/b", "0/0"])
def test_wrong_shards(shard: str, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", *small, f"--shard={shard}"])
    assert f"expected I/N with 0 <= I < N, such as 0/4, got '{shard}'" in capsys.readouterr().err


def test_two_ranks_print_and_write_what_one_process_does(generated: Path, tmp_path: Path) -> None:
    state, out = tmp_path / "state.pt", tmp_path / "out.json"
    written = ["--json", str(out), "--save-state", str(state)]
    done = torchrun("-m", "detmetrics", "evaluate", *files(generated), "--per-class", *written)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (generated / "whole.txt").read_text()
    assert len(re.findall(r"^detmetrics: 25 images in ", done.stderr, flags=re.MULTILINE)) == 1
    assert out.read_bytes() == (generated / "whole.json").read_bytes()
    numbers("merge", str(state), "--per-class", out=tmp_path / "merged.json")
    assert (tmp_path / "merged.json").read_bytes() == out.read_bytes()


MISSING_ON_RANK_1 = """
import os, sys
from detmetrics.cli import main
annotations, results = sys.argv[1:]
sys.exit(main(["evaluate", annotations, results if os.environ["RANK"] == "0" else "missing.json"]))
"""


def test_two_ranks_fail_together_and_say_so_once(generated: Path, tmp_path: Path) -> None:
    """Rank 0 does not wait for rank 1, which cannot read its file."""
    (tmp_path / "script.py").write_text(MISSING_ON_RANK_1)
    done = torchrun(str(tmp_path / "script.py"), *files(generated))
    assert (done.returncode, done.stdout) == (1, "")
    told = [line for line in done.stderr.splitlines() if line.startswith("detmetrics:")]
    assert told == ["detmetrics: error: [Errno 2] No such file or directory: 'missing.json'"]
