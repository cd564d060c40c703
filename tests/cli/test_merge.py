"""The command on several ranks and machines."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import torch

from detmetrics.cli import main
from tests.cli.commands import numbers, torchrun, write
from tests.page.pages import Page


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


# ----------------------------------------------------------------------------------------------- ids as files have them


def state_of(path: Path, boxes: dict[int | str, list[float]], score: float = 0.5) -> str:
    """The state of images with a target each and the same detection in all of them."""
    annotations = {
        "images": [{"id": i} for i in boxes],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": n, "image_id": i, "category_id": 1, "bbox": boxes[i]} for n, i in enumerate(boxes, 1)],
    }
    results = [{"image_id": i, "category_id": 1, "bbox": [0, 0, 9, 8], "score": score} for i in boxes]
    files = [write(path.with_suffix(".gt.json"), annotations), write(path.with_suffix(".dt.json"), results)]
    assert main(["evaluate", *files, "--quiet", "--save-state", str(path)]) == 0
    return str(path)


ONE, OTHER = [0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.5]


@pytest.mark.parametrize(
    ("image_id", "before", "shown"),
    [
        ("val/007.jpg", "a.jpg", "'val/007.jpg'"),
        (2**64, 2**63, "18446744073709551616"),
        (-3, -9, "-3"),
        ("7", 5, "'7'"),
        (7, "5", "7"),
        (8, 5, "8"),
        ("\x1b[31m\nerror", "", r"'\x1b[31m\nerror'"),
        ("\ud800", "", r"'\ud800'"),
    ],
)
def test_messages_name_the_ids_of_the_files(
    image_id: int | str, before: int | str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another image comes before in one of the files, so that the numbers behind the ids differ."""
    first = state_of(tmp_path / "1.pt", {before: ONE, image_id: ONE})
    padding, other = (state_of(tmp_path / f"{s}.pt", {image_id: ONE}, s) for s in (0.5, 0.9))
    contradicting = state_of(tmp_path / "3.pt", {image_id: OTHER})
    capsys.readouterr()
    for state, words in ((padding, "and about the same predictions"), (other, "but other predictions")):
        assert main(["merge", first, state, "--quiet"]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert f"1 image (id {shown}) was seen again with the same target {words}" in line
    assert main(["merge", first, contradicting, "--quiet"]) == 1
    assert f"got two images with id {shown} and other targets" in capsys.readouterr().err


def test_a_merged_state_keeps_the_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (state_of(tmp_path / f"{name}.pt", {name: ONE, "c": ONE}) for name in "ab")
    both, page = str(tmp_path / "both.pt"), tmp_path / "page.html"
    assert main(["merge", first, second, "--quiet", "--save-state", both, "--iou-thresholds", "0.95"]) == 0
    capsys.readouterr()
    third = state_of(tmp_path / "b2.pt", {"b": ONE, "d": OTHER})
    assert main(["merge", both, third, "--quiet", "--html", str(page)]) == 0
    assert "2 images (ids 'b', 'c') were seen again" in capsys.readouterr().err


def test_the_page_of_merged_states_has_the_ids(tmp_path: Path) -> None:
    missed = [50.0, 50.0, 9.0, 9.0]
    states = [state_of(tmp_path / f"{name}.pt", {name: missed}) for name in ("b.jpg", "a.jpg")]
    assert main(["merge", *states, "--quiet", "--html", str(tmp_path / "page.html")]) == 0
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert {"a.jpg", "b.jpg"} <= {words.strip() for tag, words in page.texts if tag == "th"}
