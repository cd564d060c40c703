"""``detmetrics demo``: COCO's numbers for a generated data set."""

from __future__ import annotations

import argparse
import json

from detmetrics import demo
from detmetrics.cli.evaluate import device_of, evaluate
from detmetrics.cli.ranks import rank
from detmetrics.files.coco import from_coco, to_coco


def run(arguments: argparse.Namespace) -> None:
    """Generate data, save them if asked, and evaluate them as files would be."""
    preds, target = demo.generate(arguments.images, arguments.detections, arguments.classes, seed=arguments.seed)
    names = {label: f"class {label}" for label in range(arguments.classes)}
    annotations, results = to_coco(preds, target, categories=names)
    if arguments.save is not None and rank() == 0:
        arguments.save.mkdir(parents=True, exist_ok=True)
        for name, document in (("annotations.json", annotations), ("results.json", results)):
            (arguments.save / name).write_text(json.dumps(document))
    evaluate(from_coco(annotations, results, device=device_of(arguments)), "Generated data", arguments)
