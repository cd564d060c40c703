"""Results as text."""

import io
import math

import pytest

from detmetrics.show.tables import class_table, coco_summary, one_line, score_table


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


FORGED = "cat\r\n AP 1.000\x1b[2K\x9b1A\u2028\u202e\0"
SHOWN = r"cat\r\n AP 1.000\x1b[2K\x9b1A\u2028\u202e\x00"


def test_a_name_cannot_forge_a_line() -> None:
    assert one_line(FORGED) == SHOWN
    results = {f"map/{FORGED}": 0.5, "map/\ud800": 1.0}
    table = class_table(results).splitlines()
    assert [line.split("  ")[0] for line in table] == ["class", SHOWN, r"\ud800"]
    assert len({len(line) for line in table}) == 1
    assert SHOWN in score_table(["f1"], {FORGED: [0.5]}, {}).splitlines()[2]
    assert len(score_table(["f1"], {FORGED: [0.5]}, {}).splitlines()) == 4
    (line,) = coco_summary({f"map_{FORGED}": 0.5}).splitlines()
    assert f"area={SHOWN}" in line


@pytest.mark.parametrize("name", ["café", "信号機", "traffic light", "a\\n", "سگ", "👩‍🚀", "a/b", "[red]x"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert one_line(name) == name


def test_tables_of_a_terminal_escape_names() -> None:
    rich = pytest.importorskip("rich.console")
    from detmetrics.show.terminal import terminal_tables

    results = {"map": 0.5, f"map_{FORGED}": 0.5, f"map/{FORGED}": 0.5, "map/\ud800": 0.5}
    stream = io.StringIO()
    console = rich.Console(file=stream, width=200, markup=False, force_terminal=False)
    console.print(*terminal_tables(results))
    text = stream.getvalue()
    assert text.count(SHOWN) == 2
    assert r"\ud800" in text
    text.encode()  # it holds no half surrogate
