"""What the command prints, its messages and its exit codes."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from detmetrics import __version__
from detmetrics.cli import main
from tests.cli.commands import RESULT, write


def test_quiet(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 12
    assert err == ""


def at_terminal(*arguments: str, width: int = 80, **environment: str) -> list[str]:
    """The lines that a terminal of some width shows of the command, without colours and what moves the cursor."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment = {**inherited, "TERM": "xterm", "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "detmetrics", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # what Linux raises when the other end is closed
            while part := os.read(ours, 4096):
                written += part
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).replace("\r", "\n").splitlines()


def test_a_terminal_shows_progress_and_tables() -> None:
    lines = at_terminal("demo", "--images", "12", "--classes", "2", "--batch-size", "5", "--per-class")
    assert any(re.search(r"━ +12/12 images, \d+ images/s 0:00:00$", line) for line in lines)
    assert any(re.fullmatch(r"detmetrics: 12 images in \d+\.\d\d s, \d+ images/s", line) for line in lines)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["demo", "--images", "12", "--classes", "2", "--quiet", "--per-class"]) == 0
    expected = re.findall(r"(-?\d\.\d{3}|nan)\b", printed.getvalue().replace("-1.000", "-"))
    headline = [line.split() for line in lines if line.startswith(("AP ", "AR "))]
    assert len(headline) == 12
    assert headline[0][:4] == ["AP", "0.50:0.95", "all", "100"]
    classes = [line.split()[-2:] for line in lines if line.startswith("class ") and "map" not in line]
    assert [line[4] for line in headline] + [cell for cells in classes for cell in cells] == expected
    widths = {len(line) for line in lines if line.startswith(("AP ", "AR "))}
    assert max(widths) <= 80


@pytest.mark.parametrize("width", [40, 60])
def test_numbers_are_whole_on_a_narrow_terminal(width: int) -> None:
    lines = at_terminal("demo", "--images", "5", "--quiet", width=width, NO_COLOR="1")
    headline = [line for line in lines if line.startswith(("AP ", "AR "))]
    assert len(headline) == 12
    assert all(re.match(r"A[PR] +\d\.\d\d(:\d\.\d\d)? +\w+ +\d+ +(\d\.\d{3}|-)", line) for line in headline)
    assert max(map(len, lines)) <= width


def test_quiet_at_a_terminal() -> None:
    lines = at_terminal("demo", "--images", "5", "--quiet")
    assert not any("images" in line for line in lines)


def test_what_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich would take any stream for a terminal
    assert main(["demo", "--images", "12"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 12
    assert err.startswith("detmetrics: 12 images in ")


def test_without_rich(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["demo", "--images", "12"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 12
    assert err.startswith("detmetrics: 12 images in ")


def test_what_is_left_out_is_told(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [RESULT, {**RESULT, "image_id": 3}, {**RESULT, "image_id": 4}, {**RESULT, "category_id": 8}]
    dt = write(tmp_path / "many.json", results)
    assert main(["evaluate", small[0], dt, "--quiet"]) == 0
    out, err = capsys.readouterr()
    start = f"detmetrics: warning: {dt}: "
    assert err.splitlines() == [
        f'{start}2 of 4 entries are for images not listed in "images", such as image_id 3; dropped',
        f'{start}1 of 4 entries are of categories not listed in "categories", such as category_id 8; dropped, '
        "as in pycocotools",
    ]
    assert main(["evaluate", *small, "--quiet"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "[Errno 2] No such file or directory: '{}'"),
        ("[", "{}: expected JSON, plain or gzipped, got an error: Expecting value: line 1 column 2 (char 1)"),
        ("1", "{}: expected a JSON array, got 1"),
        (
            '[{"image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]}]',
            '{}: entry 0: "score": expected a finite number, got no such key',
        ),
        (
            '[{"image_id": 2, "category_id": 5, "bbox": [0, 0, 1, 1], "score": 1}]',
            '{}: 1 of 1 entries are for images not listed in "images", such as image_id 2',
        ),
    ],
)
def test_a_broken_file_fails_with_one_line(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_text(content)
    assert main(["evaluate", small[0], str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"detmetrics: error: {message.format(path)}\n"


@pytest.mark.parametrize("option", ["--json", "--html", "--save-state"])
def test_an_output_that_cannot_be_written_fails_at_once(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, folder, locked = tmp_path / "no" / "such", tmp_path, tmp_path / "locked"
    locked.write_text("kept")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked)  # a mode does not keep root out
    for path, problem in (
        (missing, "[Errno 2] No such file or directory"),
        (folder, "[Errno 21] Is a directory"),
        (locked, "[Errno 13] Permission denied"),
    ):
        assert main(["evaluate", "no", "such", option, str(path)]) == 1
        assert capsys.readouterr() == ("", f"detmetrics: error: {problem}: '{path}'\n")
    assert locked.read_text() == "kept"


def test_outputs_are_files_of_their_own(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--json", str(tmp_path / "one"), "--html", str(tmp_path / "x" / ".." / "one")]
    for arguments in (both, ["--json", small[0]], ["--save-state", small[1]]):
        assert main(["evaluate", *small, *arguments]) == 1
        assert "expected a file of its own to write" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


def test_iou_thresholds_in_any_order(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for thresholds in (["0.5", "0.9"], ["0.9", "0.5", "0.5"]):
        assert main(["evaluate", *small, "--quiet", "--iou-thresholds", *thresholds]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert "IoU=0.50:0.90" in outputs[0]


def test_nobody_need_listen(small: list[str]) -> None:
    command = [sys.executable, "-m", "detmetrics", "evaluate", *small, "--quiet"]
    done = subprocess.run(["bash", "-c", '"$@" >&-', "bash", *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_whoever_reads_may_stop() -> None:
    command = f"{sys.executable} -m detmetrics demo --images 3 --quiet | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_an_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detmetrics.cli.evaluate._update", interrupt)
    assert main(["demo", "--images", "3"]) == 130
    assert capsys.readouterr() == ("", "detmetrics: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["evaluate", "gt.json"], "the following arguments are required: DT.json"),
        (["demo", "--images", "0"], "argument --images: expected an integer of 1 or more, got '0'"),
        (["demo", "--batch-size", "x"], "argument --batch-size: expected an integer of 1 or more, got 'x'"),
        (["demo", "--iou-thresholds", "1.5"], "argument --iou-thresholds: expected a number in [0, 1], got '1.5'"),
        (["evaluate", "a", "b", "--iou-type", "oks"], "argument --iou-type: invalid choice: 'oks'"),
        (["demo", "--device", "abacus"], "argument --device: expected a usable device, got 'abacus': "),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["--version"], 0, f"detmetrics {__version__}\n", ""),
        (["evaluate", "no", "such"], 1, "", "detmetrics: error: [Errno 2] No such file or directory: 'no'\n"),
    ],
)
def test_as_a_module(arguments: list[str], code: int, out: str, err: str) -> None:
    done = subprocess.run([sys.executable, "-m", "detmetrics", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
