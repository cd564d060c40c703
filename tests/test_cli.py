"""The command: its numbers, its files, its messages and its exit codes."""

import contextlib
import fcntl
import gzip
import io
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detmetrics import __version__
from detmetrics.cli import main
from detmetrics.report import class_table, coco_summary
from tests import oracle

CAT = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [0, 0, 10, 10]}
ANNOTATIONS: dict[str, Any] = {
    "images": [{"id": 1}],
    "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}],
    "annotations": [CAT],
}
RESULT = {"image_id": 1, "category_id": 5, "bbox": [0, 0, 10, 9], "score": 0.5}


def write(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document))
    return str(path)


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """Paths of the smallest pair of files: a cat, found with an IoU of .9."""
    return [write(tmp_path / "gt.json", ANNOTATIONS), write(tmp_path / "dt.json", [RESULT])]


def numbers(*arguments: str, out: Path) -> dict[str, float]:
    """Run the command quietly and return what it writes as JSON, with NaN for null."""
    assert main([*arguments, "--quiet", "--json", str(out)]) == 0
    return {key: math.nan if value is None else value for key, value in json.loads(out.read_text()).items()}


def assert_close(result: dict[str, float], expected: dict[str, float]) -> None:
    assert {key: result[key] for key in expected} == pytest.approx(expected, rel=0, abs=oracle.TOLERANCE, nan_ok=True)


# ------------------------------------------------------------------------------------------------------------ real data


@pytest.fixture(scope="session")
def manifest(data_root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((data_root / "MANIFEST.json").read_text())
    return loaded


@pytest.mark.parametrize(
    ("name", "gt", "dt"),
    [
        ("coco_val2014_100", "instances_val2014_100.json", "instances_val2014_fakebbox100_results.json"),
        ("rafael_coco_sampled", "gt.json", "dt.json"),
    ],
)
def test_real_files(data_root: Path, manifest: dict[str, Any], tmp_path: Path, name: str, gt: str, dt: str) -> None:
    measured = manifest[name]["measured"]
    measured = measured.get("bbox", measured)
    files = [str(data_root / name / file) for file in (gt, dt)]
    result = numbers("evaluate", *files, "--per-class", out=tmp_path / "out.json")
    assert list(result)[:12] == list(oracle.STATS)
    assert_close(result, dict(zip(oracle.STATS, measured["stats"], strict=True)))
    per_category = {key.partition("#")[0]: value for key, value in measured["per_category_AP"].items()}
    assert [key for key in result if key.startswith("map/")] == [f"map/{name}" for name in per_category]
    expected = {f"map/{name}": math.nan if value is None else value for name, value in per_category.items()}
    assert_close(result, expected)


def test_real_files_gzipped(data_root: Path, manifest: dict[str, Any], tmp_path: Path) -> None:
    folder = data_root / "voc07_tinyyolo"
    annotations = json.loads(gzip.decompress((folder / "voc07_test_gt_coco.json.gz").read_bytes()))
    for annotation in annotations["annotations"]:
        annotation["iscrowd"] = annotation["difficult"]
    files = [write(tmp_path / "gt.json", annotations), str(folder / "tinyyolo_qfdong_dt_coco.json.gz")]
    result = numbers("evaluate", *files, out=tmp_path / "out.json")
    recorded = manifest["voc07_tinyyolo"]["measured"]["pycocotools_12_difficult_as_crowd"]  # to six digits
    assert [round(value, 6) for value in result.values()] == recorded


MASKS = ("instances_val2014_100.json", "instances_val2014_fakesegm100_results.json")


def test_masks_of_real_files(data_root: Path, manifest: dict[str, Any], tmp_path: Path) -> None:
    measured = manifest["coco_val2014_100"]["measured"]["segm"]
    files = [str(data_root / "coco_val2014_100" / name) for name in MASKS]
    states = []
    for shard in ("0/2", "1/2"):
        states.append(str(tmp_path / f"{shard[0]}.pt"))
        options = ["--iou-type", "segm", "--shard", shard, "--save-state", states[-1]]
        numbers("evaluate", *files, *options, out=tmp_path / "part.json")
    result = numbers("merge", *states, "--per-class", out=tmp_path / "out.json")
    assert_close(result, dict(zip(oracle.STATS, measured["stats"], strict=True)))
    per_category = {f"map/{key.partition('#')[0]}": value for key, value in measured["per_category_AP"].items()}
    assert_close(result, {key: math.nan if value is None else value for key, value in per_category.items()})


def test_output_is_that_of_pycocotools(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data_root / "coco_val2014_100"
    files = [
        str(folder / "instances_val2014_100.json"),
        str(folder / "instances_val2014_fakebbox100_results.json"),
    ]
    assert main(["evaluate", *files]) == 0
    out, err = capsys.readouterr()
    assert out == pycocotools_summary(*files)
    assert re.fullmatch(r"detmetrics: 100 images in \d+\.\d\d s, \d+ images/s\n", err)


def pycocotools_summary(gt: str, dt: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(gt)
        evaluation = COCOeval(truth, truth.loadRes(dt), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    return printed.getvalue()


# -------------------------------------------------------------------------------------------------------------- options


def test_undefined_is_null_in_json_and_minus_one_in_print(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *small, "--json", str(tmp_path / "out.json")]) == 0
    written = json.loads((tmp_path / "out.json").read_text())
    # IoU 90/100 passes the thresholds .5 to .9: 9 of 10
    assert written["map"] == written["mar_100"] == pytest.approx(0.9, rel=0, abs=1e-12)
    assert written["map_large"] is None
    annotations = {**ANNOTATIONS, "annotations": [{**CAT, "area": 100, "iscrowd": 0}]}  # pycocotools needs both
    assert capsys.readouterr().out == pycocotools_summary(write(tmp_path / "full.json", annotations), small[1])


def test_per_class(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--per-class"]) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    assert table == "class    map  mar_100\ncat    0.900    0.900\ndog      nan      nan\n"


def test_iou_thresholds_and_max_detections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--images", "30", "--save", str(tmp_path)]) == 0
    capsys.readouterr()
    files = [str(tmp_path / "annotations.json"), str(tmp_path / "results.json")]
    options = ["--iou-thresholds", "0.3", "0.5", "--max-detections", "2", "7"]
    result = numbers("evaluate", *files, *options, out=tmp_path / "out.json")
    annotations, results = (json.loads(Path(file).read_text()) for file in files)
    reference = oracle.evaluate_coco(annotations, results, iou_thresholds=[0.3, 0.5], max_detection_thresholds=[2, 7])
    assert_close(result, reference.stats)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(result) == 10  # map, map_50, 3 areas; mar_2, mar_7, 3 areas
    assert printed[0].startswith(" Average Precision  (AP) @[ IoU=0.30:0.50 | area=   all | maxDets=  7 ] = ")
    assert printed[5].startswith(" Average Recall     (AR) @[ IoU=0.30:0.50 | area=   all | maxDets=  2 ] = ")


def test_ignore_key(tmp_path: Path) -> None:
    hard = {"image_id": 1, "category_id": 5, "bbox": [50, 50, 10, 10]}
    files = [
        write(tmp_path / "gt.json", {**ANNOTATIONS, "annotations": [CAT, {**CAT, **hard, "id": 2, "difficult": 1}]}),
        write(tmp_path / "dt.json", [RESULT, {**hard, "score": 0.9}]),
    ]
    counted = numbers("evaluate", *files, out=tmp_path / "1.json")
    # both found at .5 to .9, then one of two: precision 1 at the first 51 of 101 recall points
    assert counted["map"] == pytest.approx((9 + 51 / 101) / 10, rel=0, abs=1e-12)
    ignored = numbers("evaluate", *files, "--ignore-key", "difficult", out=tmp_path / "2.json")
    assert ignored["map"] == pytest.approx(0.9, rel=0, abs=1e-12)
    assert ignored["mar_1"] == 0  # an ignored detection takes its place all the same


@pytest.mark.parametrize(("iou_type", "expected"), [("bbox", 1.0), ("segm", 0.7), ("boundary", 0.4)])
def test_iou_type(tmp_path: Path, iou_type: str, expected: float) -> None:
    # a square of 100 with a hole of 40: IoU 8400 / 10000; boundaries of 4 pixels: 10000 - 92**2 = 1536, of the hole
    # 48**2 - 40**2 = 704: 1536 / 2240
    square = {"size": [120, 130], "counts": [0, *[100, 20] * 99, 100, 20 + 30 * 120]}
    rim, cut = [100, 20] * 30, [30, 40, 30, 20] * 40
    hollow = {"size": [120, 130], "counts": [0, *rim, *cut, *rim[:-1], 20 + 30 * 120]}
    cat, box = {"image_id": 1, "category_id": 5, "bbox": [0, 0, 100, 100]}, {"id": 1, "area": 1e4, "iscrowd": 0}
    files = [
        write(tmp_path / "gt.json", {**ANNOTATIONS, "annotations": [{**cat, **box, "segmentation": square}]}),
        write(tmp_path / "dt.json", [{**cat, "score": 0.5, "segmentation": hollow}]),
    ]
    result = numbers("evaluate", *files, "--iou-type", iou_type, out=tmp_path / "out.json")
    assert result["mar_100"] == pytest.approx(expected, rel=0, abs=1e-12)


def test_files_without_masks_fail_with_one_line(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--iou-type", "segm"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f'detmetrics: error: {small[0]}: annotations: entry 0: "segmentation": expected polygons ')
    assert err.endswith(", got no such key\n")
    assert err.count("\n") == 1


def test_masks_without_pycocotools_fail_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cat = {**CAT, "segmentation": [[0, 0, 10, 0, 10, 10]]}
    images = [{"id": 1, "height": 20, "width": 20}]
    files = [
        write(tmp_path / "gt.json", {**ANNOTATIONS, "images": images, "annotations": [cat]}),
        write(tmp_path / "dt.json", [{**RESULT, "segmentation": cat["segmentation"]}]),
    ]
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    assert main(["evaluate", *files, "--iou-type", "segm"]) == 1
    message = 'detmetrics: error: masks in COCO files need pycocotools: pip install "detmetrics[coco]"\n'
    assert capsys.readouterr().err == message


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    one = numbers("demo", "--images", "20", "--per-class", "--batch-size", "1", out=tmp_path / "1.json")
    many = numbers("demo", "--images", "20", "--per-class", "--batch-size", "7", out=tmp_path / "2.json")
    assert str(one) == str(many)


def test_demo_is_seeded_and_saved_files_give_its_numbers(tmp_path: Path) -> None:
    demo = ["demo", "--images", "12", "--detections", "8", "--classes", "4", "--per-class"]
    result = numbers(*demo, "--save", str(tmp_path / "new" / "folder"), out=tmp_path / "1.json")
    assert str(result) == str(numbers(*demo, "--seed", "0", out=tmp_path / "2.json"))
    assert str(result) != str(numbers(*demo, "--seed", "1", out=tmp_path / "3.json"))
    files = [str(tmp_path / "new" / "folder" / name) for name in ("annotations.json", "results.json")]
    assert str(result) == str(numbers("evaluate", *files, "--per-class", out=tmp_path / "4.json"))


def test_demo_on_the_gpu(tmp_path: Path, cuda: torch.device) -> None:
    on_cpu = numbers("demo", out=tmp_path / "1.json")
    assert str(on_cpu) == str(numbers("demo", "--device", str(cuda), out=tmp_path / "2.json"))


# ------------------------------------------------------------------------------------------------------------- messages


def test_quiet(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 12
    assert err == ""


def at_terminal(*arguments: str, width: int = 80, **environment: str) -> list[str]:
    """The lines that a terminal of some width shows of the command, without colours and what moves the cursor."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1", **environment}
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

    monkeypatch.setattr("detmetrics.cli._update", interrupt)
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


# --------------------------------------------------------------------------------------------------------------- tables


def test_summary_reads_headline_numbers_alone() -> None:
    results = {"map": 0.25, "map_tiny": 1.0, "mar_5": 0.5, "mar_1000": 0.75, "map/cat": 0.1, "mar_1000/cat": 0.1}
    assert coco_summary(results, [0.5]).splitlines() == [
        " Average Precision  (AP) @[ IoU=0.50:0.50 | area=   all | maxDets=1000 ] = 0.250",
        " Average Precision  (AP) @[ IoU=0.50:0.50 | area=  tiny | maxDets=1000 ] = 1.000",
        " Average Recall     (AR) @[ IoU=0.50:0.50 | area=   all | maxDets=  5 ] = 0.500",
        " Average Recall     (AR) @[ IoU=0.50:0.50 | area=   all | maxDets=1000 ] = 0.750",
    ]


def test_class_table_aligns_long_names() -> None:
    results = {"map/traffic light": 0.5, "map/a/b": math.nan, "mar_100/traffic light": 1.0, "mar_100/a/b": math.nan}
    assert class_table(results).splitlines() == [
        "class            map  mar_100",
        "traffic light  0.500    1.000",
        "a/b              nan      nan",
    ]


# ------------------------------------------------------------------------------------------- several ranks and machines


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
    assert told.startswith("detmetrics: 25 images in ")
    repeated = "detmetrics: 8 images came more than once and count once\n"  # 25 images: shards of 9, 8 and 8
    assert told.endswith(repeated) == (order == [1, 0, 2, 1])


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


def torchrun(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


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
