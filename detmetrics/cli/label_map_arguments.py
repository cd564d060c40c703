"""The arguments of the commands that read label maps. Nothing here imports torch."""

from __future__ import annotations

import argparse
import contextlib
import math
from pathlib import Path
from typing import Any

from detmetrics.cli.argument_types import positive, shortened, size
from detmetrics.cli.protocols import PROTOCOLS, Protocol

AGGREGATES = ("dataset", "imagewise", "classwise", "pooled")
MOST_CLASSES = 4096
DEFINITIONS = ("deepmind", "monai", "medpy")


def add_segmentation(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add ``detmetrics segmentation``."""
    command = commands.add_parser(
        "segmentation",
        parents=[*parents, _reading_arguments()],
        help="evaluate a folder of label maps",
        description="Print IoU, F1 (Dice), precision and recall of two folders of label maps (PNG, TIFF, NPY, NPZ, "
        "NIfTI), whose files are paired by name.",
    )
    command.add_argument("targets", type=Path, metavar="GT_DIR", help="folder of the targets")
    command.add_argument("preds", type=Path, metavar="PRED_DIR", help="folder of the predictions")
    _add_pairing(command)
    _add_labels(command)
    command.add_argument("--aggregate", choices=AGGREGATES, help="over what scores are taken (dataset)")
    command.add_argument(
        "--zero-division", type=_number, metavar="X", help="what stands for 0/0 (nan: left out of means)"
    )
    command.add_argument("--protocol", choices=PROTOCOLS, help="whose numbers: " + "; ".join(map(_summary, PROTOCOLS)))
    _add_surfaces(command)
    command.set_defaults(command="segmentation", image_folder=None)


def _add_pairing(command: argparse.ArgumentParser) -> None:
    pairing = command.add_argument_group("pairs of files")
    pairing.add_argument("--gt-suffix", metavar="TEXT", help="what names of targets end in behind the shared part")
    pairing.add_argument("--pred-suffix", metavar="TEXT", help="what names of predictions end in behind it")
    pairing.add_argument(
        "--pair-by", choices=("path", "name"), help="paths within the folders, or names whatever folders they are in"
    )
    pairing.add_argument(
        "--ignore-affine", action="store_true", help="compare NIfTI files voxel by voxel, wherever they lie"
    )


def _add_labels(command: argparse.ArgumentParser) -> None:
    labels = command.add_argument_group("labels")
    labels.add_argument("--num-classes", type=positive, metavar="N", help="labels are 0 to N-1")
    labels.add_argument(
        "--class-names", nargs="+", metavar="NAME", help="names of labels 0, 1, ..., or a .txt file with one a line"
    )
    labels.add_argument("--ignore-index", type=_label, nargs="+", metavar="N", help="values of targets not to count")
    labels.add_argument("--exclude-classes", type=_label, nargs="+", metavar="N", help="labels that means leave out")
    labels.add_argument(
        "--reduce-zero-label",
        choices=("target", "both"),
        nargs="?",
        const="target",
        help="label 0 is no class, and others become one less: of targets, as in mmseg, or of predictions too",
    )
    labels.add_argument(
        "--label-map",
        type=_relabel,
        nargs="+",
        metavar="OLD:NEW",
        help="change labels of targets and predictions, after --reduce-zero-label; OLD:void for no class",
    )


def _add_surfaces(command: argparse.ArgumentParser) -> None:
    surfaces = command.add_argument_group("surfaces")
    surfaces.add_argument(
        "--surface",
        action="store_true",
        help="also the Hausdorff distance at 95 %%, surface Dice and the mean distance of surfaces, of each image; "
        'classwise where --aggregate is dataset. A class that one side lacks is infinitely far, in JSON "inf"',
    )
    surfaces.add_argument("--surface-definition", choices=DEFINITIONS, help="what a surface is (deepmind)")
    surfaces.add_argument(
        "--spacing",
        type=_length,
        nargs="+",
        metavar="X",
        help="of pixels along each axis (that of NIfTI headers, or 1)",
    )
    surfaces.add_argument("--tolerance", type=_length, metavar="X", help="of surface Dice, in the unit of spacing (1)")


def add_panoptic(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add ``detmetrics panoptic``."""
    command = commands.add_parser(
        "panoptic",
        parents=[*parents, _reading_arguments()],
        help="evaluate panoptic segmentations in COCO's format",
        description="Print PQ, SQ and RQ of COCO's panoptic format: JSON files and PNG files of segment ids.",
    )
    command.add_argument("targets", type=Path, metavar="GT.json", help="the targets, gzipped or not")
    command.add_argument("preds", type=Path, metavar="PRED.json", help="the predictions, gzipped or not")
    command.add_argument("--gt-folder", type=Path, metavar="DIR", help="PNG files of the targets (GT)")
    command.add_argument("--pred-folder", type=Path, metavar="DIR", help="PNG files of the predictions (PRED)")
    command.add_argument("--boundary", action="store_true", help="Boundary PQ")
    command.add_argument(
        "--threshold", type=_match_threshold, default=0.5, metavar="T", help="IoU that a match exceeds (0.5)"
    )
    command.set_defaults(command="panoptic", image_folder=None, html=None)


def _reading_arguments() -> argparse.ArgumentParser:
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument(
        "--workers", type=positive, metavar="N", help="processes that read files (one for each CPU, at most 16)"
    )
    reading.add_argument(
        "--max-bytes", type=size, default=1 << 30, metavar="SIZE", help="how much a file may unpack to (1 GiB)"
    )
    return reading


def check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Put in what the protocol sets, read names from a file, and end unless the classes are known."""
    protocol = PROTOCOLS[arguments.protocol] if arguments.protocol else Protocol(source="")
    names = arguments.class_names
    if names is not None and len(names) == 1 and names[0].endswith(".txt"):
        arguments.class_names = names = _names_in(Path(names[0]), parser)
    if names is None and arguments.num_classes is None:
        names = protocol.class_names
    if names is None and arguments.num_classes is None:
        parser.error("expected --num-classes, --class-names or a --protocol that has classes")
    if names is not None and arguments.num_classes not in (None, len(names)):
        parser.error(f"--num-classes: expected the number of --class-names, {len(names)}, got {arguments.num_classes}")
    if names is not None and len(set(names)) < len(names):
        parser.error(
            f"--class-names: expected distinct names, got {next(n for n in names if names.count(n) > 1)!r} twice"
        )
    for option in ("surface_definition", "spacing", "tolerance"):
        if getattr(arguments, option) is not None and not arguments.surface:
            parser.error(f"--{option.replace('_', '-')}: expected --surface with it")
    num_classes = arguments.num_classes or len(names)
    if num_classes > MOST_CLASSES:  # the confusion matrix has a cell for each pair
        parser.error(f"--num-classes: expected at most {MOST_CLASSES}, got {num_classes}")
    arguments.class_names = list(map(str, range(num_classes))) if names is None else list(names)
    _take(arguments, protocol)


def _take(arguments: argparse.Namespace, protocol: Protocol) -> None:
    """Take from the protocol what is not given."""
    given = {
        "ignore_index": protocol.ignore_index,
        "exclude_classes": protocol.exclude_classes,
        "aggregate": protocol.aggregate,
        "zero_division": math.nan if protocol.zero_division is None else protocol.zero_division,
        "reduce_zero_label": protocol.reduce_zero_label,
        "gt_suffix": protocol.target_suffix,
        "pair_by": protocol.pair_by,
    }
    for name, value in given.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    arguments.others_void = protocol.others_void and arguments.label_map is None
    arguments.label_map = dict(protocol.label_map if arguments.label_map is None else arguments.label_map)
    arguments.only_present, arguments.headline = protocol.only_present, protocol.headline


def _names_in(path: Path, parser: argparse.ArgumentParser) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"--class-names: expected names or a text file of them, got an error: {error}")
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        parser.error(f"--class-names: {path}: expected a name on each line, got none")
    return names


def _summary(name: str) -> str:
    protocol = PROTOCOLS[name]
    parts = [protocol.aggregate]
    if protocol.class_names:
        parts.insert(0, f"{len(protocol.class_names)} classes")
    if protocol.ignore_index:
        parts.append(f"ignores {' '.join(map(str, protocol.ignore_index))}")
    if protocol.zero_division is not None:
        parts.append(f"0/0 is {protocol.zero_division:g}")
    if protocol.exclude_classes:
        parts.append("means without class 0")
    if protocol.only_present:
        parts.append("classes that an image has")
    if protocol.others_void:
        parts.append("label ids")
    if protocol.reduce_zero_label:
        parts.append("classes from 1 on")
    return f"{name} ({', '.join(parts)})"


def _label(text: str) -> int:
    with contextlib.suppress(ValueError):
        if -(2**62) < int(text) < 2**62:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number, got {shortened(text)!r}")


def _relabel(text: str) -> tuple[int, int | None]:
    old, colon, new = text.partition(":")
    with contextlib.suppress(argparse.ArgumentTypeError):
        if colon:
            return _label(old), None if new == "void" else _label(new)
    raise argparse.ArgumentTypeError(f"expected OLD:NEW such as 7:0 or 0:void, got {shortened(text)!r}")


def _number(text: str) -> float:
    with contextlib.suppress(ValueError):
        if not math.isinf(float(text)):
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number or nan, got {shortened(text)!r}")


def _length(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number above 0, got {shortened(text)!r}")


def _match_threshold(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.5 <= float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in [0.5, 1), got {shortened(text)!r}")
