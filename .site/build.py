"""Build the guides and the reference as pages that a browser opens from disk: ``python .site/build.py [FOLDER]``."""

import importlib
import sys
import warnings
from pathlib import Path

import pdoc
from pdoc.render import configure

GUIDES = (  # the docstrings of packages, without what is inside
    "detmetrics.guides",
    "detmetrics.guides.choosing",
    "detmetrics.guides.training",
    "detmetrics.guides.differences",
    "detmetrics.detection",
    "detmetrics.segmentation",
    "detmetrics.panoptic",
    "detmetrics.classification",
    "detmetrics.analysis",
    "detmetrics.state",
    "detmetrics.files",
    "detmetrics.cli",
    "detmetrics.compat",
)
REFERENCE = (  # beside detmetrics and its functions: modules with all that they export
    "detmetrics.coco",
    "detmetrics.plot",
    "detmetrics.page",
    "detmetrics.compat.torchmetrics",
    "detmetrics.compat.pycocotools",
)
PARTS = {  # modules of which users meet a part
    "detmetrics.analysis.slices": ["by_crowding", "by_size"],
    "detmetrics.demo": ["generate"],
    "detmetrics.overlap.similarity": ["Similarity", "register", "similarity", "similarity_names"],
    "detmetrics.reduce.averages": ["average"],
    "detmetrics.reduce.calibration": ["Calibration"],
    "detmetrics.reduce.curves": ["ScoreCurves"],
    "detmetrics.reduce.operating_points": ["OperatingPoints"],
    "detmetrics.settings": ["Settings"],
}


def main(folder: Path) -> None:
    """Write one page for each guide and for each module of the reference."""
    shown = {**{name: [] for name in GUIDES}, **PARTS}
    for name, members in shown.items():
        vars(importlib.import_module(name))["__all__"] = members
    warnings.filterwarnings("ignore", "Error parsing type annotation ForwardRef")  # of fields of named tuples
    configure(
        docformat="google",
        include_undocumented=False,
        math=True,
        show_source=False,
        template_directory=Path(__file__).parent / "templates",
    )
    pdoc.pdoc("detmetrics", *shown, *REFERENCE, output_directory=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
