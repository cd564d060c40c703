"""The command writes the page."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from detmetrics import demo
from detmetrics.cli import main
from detmetrics.files.coco import CocoData, to_coco
from tests.cli.commands import torchrun
from tests.page.pages import NAMES, Page, drawn


@pytest.fixture(scope="module")
def files(data: CocoData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``gt.json``, ``dt.json`` and ``images``, and in ``whole.html`` the page they give."""
    folder = tmp_path_factory.mktemp("files")
    preds, target = demo.generate(24, num_detections=12, num_classes=4)
    annotations, results = to_coco(preds, target, categories=dict(enumerate(NAMES)))
    for image in annotations["images"]:
        image["file_name"] = f"{image['id']}.jpg"
        (folder / "images").mkdir(exist_ok=True)
        Image.new("RGB", (640, 480)).save(folder / "images" / f"{image['id']}.jpg")
    (folder / "gt.json").write_text(json.dumps(annotations))
    (folder / "dt.json").write_text(json.dumps(results))
    assert main(["evaluate", *options(folder), "--quiet", "--html", str(folder / "whole.html")]) == 0
    return folder


def options(folder: Path) -> list[str]:
    return [str(folder / "gt.json"), str(folder / "dt.json"), "--images", str(folder / "images")]


def test_evaluate_writes_the_page(files: Path) -> None:
    page = Page((files / "whole.html").read_text(encoding="utf-8"))
    assert [words for tag, words in page.texts if tag == "h1"] == ["dt.json on gt.json"]
    assert [row[0] for row in page.rows("classes")] == NAMES
    assert len(drawn(page)) == len(page.rows("images")) == 12


def test_demo_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert main(["demo", "--images", "5", "--classes", "3", "--quiet", "--html", str(out)]) == 0
    page = Page(out.read_text(encoding="utf-8"))
    assert "Confusion matrix" in page.attributes("svg", "aria-label")
    assert "File" not in "".join(page.tables["images"][0][0])


def test_the_page_on_the_gpu(files: Path, tmp_path: Path, cuda: torch.device) -> None:
    out = tmp_path / "out.html"
    assert main(["evaluate", *options(files), "--device", str(cuda), "--quiet", "--html", str(out)]) == 0
    assert out.read_bytes() == (files / "whole.html").read_bytes()


@pytest.mark.parametrize("with_page", [False, True])
def test_merge_writes_the_page(files: Path, tmp_path: Path, with_page: bool) -> None:
    states = []
    for shard in ("0/2", "1/2"):
        states.append(str(tmp_path / f"{shard[0]}.pt"))
        more = ["--html", str(tmp_path / "part.html")] if with_page else []
        saved = ["--shard", shard, "--save-state", states[-1], "--quiet", *more]
        assert main(["evaluate", *options(files)[:2], *saved]) == 0
    assert main(["merge", *states, "--quiet", "--html", str(tmp_path / "out.html")]) == 0
    page, whole = (Page(path.read_text(encoding="utf-8")) for path in (tmp_path / "out.html", files / "whole.html"))
    assert ("Confusion matrix" in page.attributes("svg", "aria-label")) == with_page
    assert page.rows("classes") == whole.rows("classes")
    assert [row[0] for row in page.rows("images")] == [row[0] for row in whole.rows("images")]
    assert drawn(page) == []


def test_two_ranks_write_the_page_of_one(files: Path, tmp_path: Path) -> None:
    done = torchrun("-m", "detmetrics", "evaluate", *options(files), "--html", str(tmp_path / "out.html"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.html").read_bytes() == (files / "whole.html").read_bytes()


def test_the_page_fails_before_the_evaluation(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.html")
    assert main(["evaluate", *options(files)[:3], str(tmp_path / "none"), "--html", out]) == 1
    assert capsys.readouterr() == ("", f"detmetrics: error: [Errno 20] Not a directory: '{tmp_path / 'none'}'\n")
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *options(files)])
    assert exit_.value.code == 2
    assert "--images: expected --html with it" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "detmetrics.page")
    monkeypatch.delitem(sys.modules, "detmetrics.page.figures")
    assert main(["evaluate", "no", "such", "--html", out]) == 1
    message = 'detmetrics: error: a page needs matplotlib: pip install "detmetrics[html]"\n'
    assert capsys.readouterr() == ("", message)
