"""A page is text that needs nothing else; a browser sorts its tables."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from detmetrics import MeanAveragePrecision, demo
from detmetrics.cli import main
from detmetrics.files.coco import CocoData, to_coco
from detmetrics.page import render
from tests.page.pages import NAMES, Page, evaluated, number


def test_equal_results_give_equal_bytes(data: CocoData, text: str) -> None:
    metric = evaluated(data)
    before = metric.compute()
    assert render(metric, title="<b>Cats</b> & dogs", data=data) == text
    assert {key: value.item() for key, value in before.items()} == pytest.approx(
        {key: value.item() for key, value in metric.compute().items()}, nan_ok=True
    )
    halves = [evaluated(CocoData(data.preds[i::2], data.target[i::2], data.categories)) for i in (1, 0)]
    halves[0].merge_state(halves[1])
    assert render(halves[0], title="<b>Cats</b> & dogs", data=data) == text


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """JSON may escape half of a pair of surrogates."""
    preds, target = demo.generate(4, num_detections=5, num_classes=1)
    documents = to_coco(preds, target, categories={0: "\ud800"})
    paths = [tmp_path / name for name in ("gt.json", "dt.json", "page.html")]
    for path, document in zip(paths, documents, strict=False):
        path.write_text(json.dumps(document))
    assert main(["evaluate", str(paths[0]), str(paths[1]), "--quiet", "--html", str(paths[2])]) == 0
    assert "\\ud800" in paths[2].read_text()


def test_the_settings_of_matplotlib_change_nothing(data: CocoData, text: str) -> None:
    with mpl.rc_context({"axes.grid": True, "text.usetex": True, "font.size": 30}):
        assert render(evaluated(data), title="<b>Cats</b> & dogs", data=data) == text


def test_readers_share_what_is_read(data: CocoData, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read_state = MeanAveragePrecision.read_state

    def counted(metric: MeanAveragePrecision) -> Any:
        read = read_state(metric)
        reads.append(len(read["bbox"].keys))
        return read

    monkeypatch.setattr(MeanAveragePrecision, "read_state", counted)
    render(evaluated(data))
    assert reads == [len(data)]


def test_undefined_values_of_the_metric_stay_out_of_the_average_at_one_overlap(data: CocoData) -> None:
    rows = [Page(render(evaluated(data, zero_division=value))).rows("classes") for value in (math.nan, 0.0)]
    assert [row[2] for row in rows[0]] == [row[2] for row in rows[1]]
    assert "" in [row[2] for row in rows[0]]


def test_names_are_text(page: Page, text: str) -> None:
    assert page.attributes("script", "src") == []
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert [words for tag, words in page.texts if tag in ("title", "h1")][:2] == ["<b>Cats</b> & dogs"] * 2
    shown = "".join(words for _, words in page.texts)
    assert all(shown.count(name) >= 2 for name in NAMES)  # in the table, and in a legend or on an axis
    assert text.startswith('<!doctype html>\n<html lang="en">')


def test_nothing_is_loaded(text: str, page: Page) -> None:
    assert not re.search(r"https?:|@import|srcset|\bfetch\(", text)
    links = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("href", "src")]
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)
    (policy,) = page.attributes("meta", "http-equiv")
    assert policy == "Content-Security-Policy"


def test_ids_are_unique_and_found(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pairs = [pair for _, attributes in page.elements for pair in attributes.items()]
    links = {value[1:] for name, value in pairs if name == "href" and value.startswith("#")}
    uses = {found for _, value in pairs for found in re.findall(r"url\(#([^)]+)\)", value or "")}
    assert links
    assert uses
    assert links | uses <= set(ids)


def test_no_picture_brings_a_style_for_the_whole_page(page: Page) -> None:
    assert [tag for tag, _ in page.elements].count("style") == 1


def test_pictures_are_described(page: Page) -> None:
    svgs = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(svgs) == 5
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in svgs)


CLICKS = """<script>
for (const [column, times] of [[0, 1], [0, 2], [1, 1], [1, 2]]) {
  const heading = document.querySelectorAll("#classes thead th")[column];
  heading.removeAttribute("aria-sort");
  for (let i = 0; i < times; i++) heading.querySelector("button").click();
  const names = [...document.querySelectorAll("#classes tbody th")].map((cell) => cell.textContent);
  document.body.append(Object.assign(document.createElement("pre"), {
    textContent: JSON.stringify([heading.ariaSort, ...names]),
  }));
}
</script>
</body>"""


def test_a_click_sorts(data: CocoData, page: Page, text: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium or google-chrome in the path")
    (tmp_path / "page.html").write_text(text.replace("</body>", CLICKS), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *flags, "--dump-dom", (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.findall(r"<pre>(.*?)</pre>", done.stdout)
    assert len(found) == 4
    scores = {row[0]: number(row[1]) for row in page.rows("classes")}
    ranked = sorted(NAMES[:4], key=lambda name: -scores[name])
    shown = [json.loads("".join(words for _, words in Page(line).texts)) for line in found]
    by_name, back, by_score, up = shown
    assert by_name[0] == "ascending"
    assert back == ["descending", *reversed(by_name[1:])]
    assert set(by_name[1:]) == set(NAMES)
    assert by_score == ["descending", *ranked, "unicorn"]
    assert up == ["ascending", *reversed(ranked), "unicorn"]
