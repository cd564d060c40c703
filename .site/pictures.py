"""Draw the pictures of the README from the demo's data: ``python .site/pictures.py [FOLDER]``."""

import sys
from pathlib import Path

from detmetrics import DetectionConfusionMatrix, DetectionCurves, demo

NAMES = ["person", "car", "dog", "bicycle", "traffic light"]


def main(folder: Path) -> None:
    """Write ``score.png`` and ``confusion.png``."""
    preds, target = demo.generate(num_images=400, num_detections=20, num_classes=len(NAMES), seed=1)
    curves = DetectionCurves(class_names=NAMES)
    matrix = DetectionConfusionMatrix(class_names=NAMES, score_threshold=0.3)
    for metric in (curves, matrix):
        metric.update(preds, target)
    for name, (figure, _) in {"score": curves.plot(kind="score"), "confusion": matrix.plot()}.items():
        figure.savefig(folder / f"{name}.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
