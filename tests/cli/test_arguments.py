"""The parser of arguments: it needs no torch, and knows what the metric knows."""

import subprocess
import sys
from pathlib import Path

import pytest

import detmetrics
from detmetrics import MeanAveragePrecision
from detmetrics.cli.arguments import IOU_TYPES, SIGMAS, parse
from detmetrics.overlap.keypoint_sigmas import PRESETS

# The package itself imports torch: in its place stands a package without contents.
WITHOUT_TORCH = """
import sys, types
package = types.ModuleType("detmetrics")
package.__path__, package.__version__ = [sys.argv[1]], "1.2.3"
sys.modules["detmetrics"] = package
sys.modules["torch"] = None
from detmetrics.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "Detection and segmentation metrics of files."),
        (["--version"], 0, "detmetrics 1.2.3"),
        (["evaluate", "--help"], 0, "also print a table of the classes"),
        (["evaluate", "gt.json"], 2, "the following arguments are required: DT.json"),
        (["demo", "--images", "0"], 2, "argument --images: expected an integer of 1 or more, got '0'"),
        (["merge"], 2, "the following arguments are required: STATE"),
    ],
)
def test_help_and_wrong_arguments_need_no_torch(arguments: list[str], code: int, text: str) -> None:
    folder = str(Path(detmetrics.__file__).parent)
    command = [sys.executable, "-c", WITHOUT_TORCH, folder, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert text in (done.stderr if code else done.stdout)


def test_the_iou_types_are_those_of_the_metric() -> None:
    assert MeanAveragePrecision(iou_type=IOU_TYPES).iou_types == IOU_TYPES
    with pytest.raises(ValueError, match=r"iou_type: expected one of " + str(IOU_TYPES).replace("(", r"\(")[:-1]):
        MeanAveragePrecision(iou_type="other")


def test_the_names_of_sigmas_are_those_of_the_metric() -> None:
    assert tuple(PRESETS) == SIGMAS
    files = ["evaluate", "gt.json", "dt.json", "--iou-type", "keypoints", "--keypoint-sigmas"]
    assert parse([*files, "crowdpose"]).keypoint_sigmas == "crowdpose"
    assert parse([*files, "0.1", "0.2"]).keypoint_sigmas == [0.1, 0.2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--keypoint-sigmas", "coco"],
        ["--iou-type", "keypoints", "--keypoint-sigmas", "coco", "0.1"],
        ["--iou-type", "keypoints", "--keypoint-sigmas", "0"],
    ],
)
def test_wrong_sigmas_are_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["evaluate", "gt.json", "dt.json", *arguments])
    assert "--keypoint-sigmas: expected" in capsys.readouterr().err


def test_inputs_are_the_files_that_are_read() -> None:
    assert parse(["evaluate", "gt.json", "dt.json"]).inputs == [Path("gt.json"), Path("dt.json")]
    assert parse(["merge", "1.pt", "2.pt"]).inputs == [Path("1.pt"), Path("2.pt")]
    assert parse(["demo"]).inputs == []


@pytest.mark.parametrize("given", [["--help"], ["evaluate", "--help"], ["demo", "--images", "none"], ["--version"]])
def test_help_and_wrong_arguments_are_answered_without_torch(given: list[str]) -> None:
    """Importing torch takes seconds."""
    ask = f"""
import sys
from detmetrics.cli import main
try:
    main({given})
except SystemExit:
    pass
print("torch" in sys.modules, "numpy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
