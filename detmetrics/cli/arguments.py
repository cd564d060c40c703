"""The arguments of the command. Nothing here imports torch unless a device is given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detmetrics import __version__
from detmetrics.cli import label_map_arguments
from detmetrics.cli.argument_types import SIGMAS, device, fraction, positive, seed, shard, sigma, size

DEMO: dict[str, dict[str, int]] = {  # the tasks of the demo, and what they generate if not told otherwise
    "detection": {"images": 200, "classes": 80, "detections": 30, "batch_size": 64},
    "segmentation": {"images": 20, "classes": 8},
}
PROTOCOLS = ("coco", "lvis", "open-images")
IOU_TYPES = ("bbox", "segm", "boundary", "keypoints")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, all of them checked; wrong ones exit with 2.

    ``command`` is the name of the module that runs the command, ``inputs`` the paths of the files that it reads, and
    ``device`` the name of a device that can be used.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.image_folder is not None and arguments.html is None:
        parser.error("--images: expected --html with it, the page that shows them")
    if arguments.command == "evaluate":
        _check_protocol(arguments, parser)
    sigmas = getattr(arguments, "keypoint_sigmas", None)
    if sigmas is not None:
        if arguments.iou_type != "keypoints":
            parser.error("--keypoint-sigmas: expected --iou-type keypoints with them")
        if len(sigmas) > 1 and any(isinstance(sigma, str) for sigma in sigmas):
            parser.error(f"--keypoint-sigmas: expected one name, or numbers, got {' '.join(map(str, sigmas))}")
        arguments.keypoint_sigmas = sigmas[0] if isinstance(sigmas[0], str) else sigmas
    if arguments.command == "segmentation":
        label_map_arguments.check(arguments, parser)
    elif arguments.command == "demo":
        _check_demo(arguments, parser)
    arguments.inputs = _paths(arguments)
    return arguments


def _check_protocol(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End if something is given that the protocol does not have."""
    if arguments.hierarchy is not None and arguments.protocol != "open-images":
        parser.error("--hierarchy: expected --protocol open-images with it")
    if arguments.protocol == "coco":
        return
    if arguments.html is not None:
        parser.error("--html: expected --protocol coco with it")
    for option in ("errors", "slices", "min_precision", "intervals"):
        if getattr(arguments, option) is not None:
            parser.error(f"--{option.replace('_', '-')}: expected --protocol coco with it")
    if arguments.iou_type == "keypoints":
        parser.error("--iou-type: expected --protocol coco with keypoints")


def _check_demo(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Put in what is not given, and end if something is given that the task does not have."""
    numbers = DEMO[arguments.task]
    for name in (*DEMO["detection"], "iou_thresholds", "max_detections"):
        given = getattr(arguments, name)
        if given is not None and arguments.task == "segmentation" and name not in numbers:
            parser.error(f"--{name.replace('_', '-')}: expected --task detection with it")
        setattr(arguments, name, numbers.get(name) if given is None else given)


def _paths(arguments: argparse.Namespace) -> list[Path]:
    if arguments.command == "evaluate":
        others = filter(None, [arguments.hierarchy, arguments.slices])
        return [Path(arguments.annotations), Path(arguments.results), *others]
    if arguments.command == "compare":
        return [path for path in (arguments.first, arguments.second, arguments.targets) if path is not None]
    if arguments.command in ("segmentation", "panoptic"):
        return [arguments.targets, arguments.preds]
    return list(arguments.states) if arguments.command == "merge" else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="detmetrics", description="Detection and segmentation metrics of files.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    shared, page, images = _shared_arguments(), _page_argument(), _image_arguments()
    detection, questions = _detection_arguments(), _question_arguments()
    _add_evaluate(commands, [shared, page, detection, questions, images])
    label_map_arguments.add_segmentation(commands, [shared, page, images])
    label_map_arguments.add_panoptic(commands, [shared, images])
    _add_demo(commands, [shared, page, detection, questions, images])
    _add_merge(commands, [shared, page, detection, questions])
    _add_compare(commands)
    return parser


def _add_evaluate(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        parents=parents,
        help="evaluate results against annotations",
        description="Print COCO's twelve numbers, or those of LVIS or Open Images, for a file of results.",
    )
    evaluate.add_argument("annotations", metavar="GT.json", help="COCO annotations, gzipped or not")
    evaluate.add_argument("results", metavar="DT.json", help="COCO results, gzipped or not")
    evaluate.add_argument("--protocol", choices=PROTOCOLS, default="coco", help="whose numbers (coco)")
    evaluate.add_argument(
        "--hierarchy", type=Path, metavar="TREE.json", help="Open Images' tree of the names of the categories"
    )
    evaluate.add_argument(
        "--iou-type",
        choices=IOU_TYPES,
        default="bbox",
        help="overlaps of boxes, masks, masks and boundaries, or keypoints (bbox)",
    )
    evaluate.add_argument(
        "--keypoint-sigmas",
        type=sigma,
        nargs="+",
        metavar="S",
        help=f"how far annotators are apart: {', '.join(SIGMAS)}, or a number for each keypoint (coco)",
    )
    evaluate.add_argument("--ignore-key", metavar="KEY", help="key of annotations to ignore, such as difficult")
    evaluate.add_argument(
        "--images", type=Path, metavar="DIR", dest="image_folder", help="folder of the images, to show on the page"
    )
    _add_max_bytes(evaluate, "a gzipped file")
    _add_batch_size(evaluate, 64)
    evaluate.set_defaults(command="evaluate")


def _add_demo(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        parents=parents,
        help="evaluate a generated data set",
        description="Print COCO's twelve numbers for a generated data set that looks like COCO, or the scores of label "
        "maps.",
    )
    demo.add_argument(
        "--task", choices=DEMO, default="detection", help="boxes in COCO's format, or folders of label maps (detection)"
    )
    demo.add_argument("--images", type=positive, metavar="N", help="images (200; 20 label maps)")
    demo.add_argument("--detections", type=positive, metavar="N", help="detections per image (30)")
    demo.add_argument("--classes", type=positive, metavar="N", help="classes (80; 8 of label maps)")
    demo.add_argument("--seed", type=seed, default=0, metavar="N", help="equal seeds give equal data (0)")
    _add_batch_size(demo, None)
    demo.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write annotations.json and results.json there, or label maps in gt and pred",
    )
    demo.set_defaults(command="demo", iou_type="bbox", protocol="coco", image_folder=None, workers=1)


def _add_merge(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    merge = commands.add_parser(
        "merge",
        parents=parents,
        help="add up states that were saved with --save-state",
        description="Print the numbers for the images of all states, those of the command that saved them. Thresholds "
        "and limits are those of the first state unless given here. Images that are in several states count once.",
    )
    merge.add_argument("states", nargs="+", type=Path, metavar="STATE", help="files written by --save-state")
    _add_max_bytes(merge, "a packed state")
    merge.set_defaults(command="merge", device=None, image_folder=None)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="compare two files of results, or two saved states",
        description="Print the numbers of both, the differences with intervals from bootstrap samples of the images, "
        "and p values.",
    )
    compare.add_argument("first", type=Path, metavar="A", help="COCO results, or a file written by --save-state")
    compare.add_argument("second", type=Path, metavar="B", help="the same of the other model, on the same images")
    compare.add_argument("--targets", type=Path, metavar="GT.json", help="COCO annotations, where A and B are results")
    compare.add_argument("--iou-type", choices=IOU_TYPES, default="bbox", help="overlaps of what, for results (bbox)")
    compare.add_argument("--samples", type=positive, default=1000, metavar="N", help="bootstrap samples (1000)")
    compare.add_argument(
        "--confidence", type=fraction, default=0.95, metavar="C", help="of the intervals, below 1 (0.95)"
    )
    compare.add_argument("--seed", type=seed, default=0, metavar="N", help="equal seeds give equal intervals (0)")
    compare.add_argument("--per-class", action="store_true", help="also print the classes")
    compare.add_argument("--json", type=Path, metavar="OUT", help="write the numbers to this file")
    compare.add_argument("--quiet", action="store_true", help="print nothing on stderr")
    _add_max_bytes(compare, "a packed file")
    others = dict.fromkeys(("device", "html", "save_state", "image_folder", "ignore_key"))
    compare.set_defaults(command="compare", protocol="coco", **others)


def _add_batch_size(command: argparse.ArgumentParser, default: int | None) -> None:
    command.add_argument("--batch-size", type=positive, default=default, metavar="N", help="images per update (64)")


def _add_max_bytes(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--max-bytes", type=size, default=1 << 30, metavar="SIZE", help=f"how much {what} may unpack to (1 GiB)"
    )


def _image_arguments() -> argparse.ArgumentParser:
    images = argparse.ArgumentParser(add_help=False)
    images.add_argument("--device", type=device, help="cpu, cuda, cuda:1, ... (cpu)")
    images.add_argument(
        "--shard", type=shard, default="0/1", metavar="I/N", help="only every N-th image, from the I-th on, 0 to N-1"
    )
    return images


def _shared_arguments() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--per-class", action="store_true", help="also print a table of the classes")
    shared.add_argument(
        "--json", type=Path, metavar="OUT", help="write the numbers to this file, undefined ones as null"
    )
    shared.add_argument(
        "--save-state", type=Path, metavar="OUT", help="write the state to this file, for detmetrics merge to add up"
    )
    shared.add_argument("--quiet", action="store_true", help="print no progress and no time on stderr")
    return shared


def _page_argument() -> argparse.ArgumentParser:
    page = argparse.ArgumentParser(add_help=False)
    page.add_argument(
        "--html", type=Path, metavar="OUT", help="write a page with tables, pictures and the worst images to this file"
    )
    return page


def _question_arguments() -> argparse.ArgumentParser:
    questions = argparse.ArgumentParser(add_help=False)
    questions.add_argument(
        "--errors",
        action="store_const",
        const=True,
        help="also print the kinds of errors, and the average precision that each costs",
    )
    questions.add_argument(
        "--slices",
        type=Path,
        metavar="ATTRIBUTES.json",
        help='also print the numbers of parts of the images: {"weather": {"rain": [ids of images], ...}, ...}',
    )
    questions.add_argument(
        "--min-precision",
        type=fraction,
        metavar="P",
        help="also print the score threshold with the highest recall at that precision or more",
    )
    questions.add_argument(
        "--intervals",
        type=positive,
        nargs="?",
        const=1000,
        metavar="N",
        help="also print 95%% intervals, from N bootstrap samples of the images (1000)",
    )
    return questions


def _detection_arguments() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--iou-thresholds", type=fraction, nargs="+", metavar="T", help="IoU thresholds (0.5 0.55 ... 0.95)"
    )
    shared.add_argument(
        "--max-detections",
        type=positive,
        nargs="+",
        metavar="N",
        help="limits on the detections per class and image (1 10 100), of LVIS per image (300)",
    )
    return shared
