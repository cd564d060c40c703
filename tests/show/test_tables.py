"""Results as text."""

import math

from detmetrics.show.tables import class_table, coco_summary


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
