"""The arguments of the command. Nothing here imports torch unless a device is given."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmetrics import __version__

if TYPE_CHECKING:
    import torch

IOU_TYPES = ("bbox", "segm", "boundary", "keypoints")
SIGMAS = ("coco", "crowdpose", "wholebody")
LARGEST = 2**31 - 1  # of counts
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, all of them checked; wrong ones exit with 2.

    ``command`` is the name of the module that runs the command, ``inputs`` the paths of the files that it reads, and
    ``device`` the name of a device that can be used.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.image_folder is not None and arguments.html is None:
        parser.error("--images: expected --html with it, the page that shows them")
    sigmas = getattr(arguments, "keypoint_sigmas", None)
    if sigmas is not None:
        if arguments.iou_type != "keypoints":
            parser.error("--keypoint-sigmas: expected --iou-type keypoints with them")
        if len(sigmas) > 1 and any(isinstance(sigma, str) for sigma in sigmas):
            parser.error(f"--keypoint-sigmas: expected one name, or numbers, got {' '.join(map(str, sigmas))}")
        arguments.keypoint_sigmas = sigmas[0] if isinstance(sigmas[0], str) else sigmas
    arguments.inputs = _paths(arguments)
    return arguments


def _paths(arguments: argparse.Namespace) -> list[Path]:
    if arguments.command == "evaluate":
        return [Path(arguments.annotations), Path(arguments.results)]
    return list(arguments.states) if arguments.command == "merge" else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="detmetrics", description="Detection metrics of COCO files.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    shared, images = _shared_arguments(), _image_arguments()
    _add_evaluate(commands, [shared, images])
    _add_demo(commands, [shared, images])
    _add_merge(commands, [shared])
    return parser


def _add_evaluate(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        parents=parents,
        help="evaluate results against annotations",
        description="Print COCO's twelve numbers for a file of results.",
    )
    evaluate.add_argument("annotations", metavar="GT.json", help="COCO annotations, gzipped or not")
    evaluate.add_argument("results", metavar="DT.json", help="COCO results, gzipped or not")
    evaluate.add_argument(
        "--iou-type",
        choices=IOU_TYPES,
        default="bbox",
        help="overlaps of boxes, masks, masks and boundaries, or keypoints (bbox)",
    )
    evaluate.add_argument(
        "--keypoint-sigmas",
        type=_sigma,
        nargs="+",
        metavar="S",
        help=f"how far annotators are apart: {', '.join(SIGMAS)}, or a number for each keypoint (coco)",
    )
    evaluate.add_argument("--ignore-key", metavar="KEY", help="key of annotations to ignore, such as difficult")
    evaluate.add_argument(
        "--images", type=Path, metavar="DIR", dest="image_folder", help="folder of the images, to show on the page"
    )
    _add_max_bytes(evaluate, "a gzipped file")
    evaluate.set_defaults(command="evaluate")


def _add_demo(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        parents=parents,
        help="evaluate a generated data set",
        description="Print COCO's twelve numbers for a generated data set that looks like COCO.",
    )
    demo.add_argument("--images", type=_positive, default=200, metavar="N", help="images (200)")
    demo.add_argument("--detections", type=_positive, default=30, metavar="N", help="detections per image (30)")
    demo.add_argument("--classes", type=_positive, default=80, metavar="N", help="classes (80)")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="equal seeds give equal data (0)")
    demo.add_argument("--save", type=Path, metavar="DIR", help="write annotations.json and results.json there")
    demo.set_defaults(command="demo", iou_type="bbox", image_folder=None)


def _add_merge(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    merge = commands.add_parser(
        "merge",
        parents=parents,
        help="add up states that were saved with --save-state",
        description="Print COCO's twelve numbers for the images of all states. Thresholds and limits are those of the "
        "first state unless given here. Images that are in several states count once.",
    )
    merge.add_argument("states", nargs="+", type=Path, metavar="STATE", help="files written by --save-state")
    _add_max_bytes(merge, "a packed state")
    merge.set_defaults(command="merge", device=None, image_folder=None)


def _add_max_bytes(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--max-bytes", type=_size, default=1 << 30, metavar="SIZE", help=f"how much {what} may unpack to (1 GiB)"
    )


def _image_arguments() -> argparse.ArgumentParser:
    images = argparse.ArgumentParser(add_help=False)
    images.add_argument("--device", type=_device, help="cpu, cuda, cuda:1, ... (cpu)")
    images.add_argument("--batch-size", type=_positive, default=64, metavar="N", help="images per update (64)")
    images.add_argument(
        "--shard", type=_shard, default="0/1", metavar="I/N", help="only every N-th image, from the I-th on, 0 to N-1"
    )
    return images


def _shared_arguments() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--per-class", action="store_true", help="also print a table of the classes")
    shared.add_argument(
        "--json", type=Path, metavar="OUT", help="write the numbers to this file, undefined ones as null"
    )
    shared.add_argument(
        "--html", type=Path, metavar="OUT", help="write a page with tables, curves and the worst images to this file"
    )
    shared.add_argument(
        "--save-state", type=Path, metavar="OUT", help="write the state to this file, for detmetrics merge to add up"
    )
    shared.add_argument("--quiet", action="store_true", help="print no progress and no time on stderr")
    shared.add_argument(
        "--iou-thresholds", type=_fraction, nargs="+", metavar="T", help="IoU thresholds (0.5 0.55 ... 0.95)"
    )
    shared.add_argument(
        "--max-detections",
        type=_positive,
        nargs="+",
        metavar="N",
        help="limits on the detections per class and image (1 10 100)",
    )
    return shared


def _positive(text: str) -> int:
    if not text.isdecimal() or len(text) > 20 or not 1 <= int(text) <= LARGEST:
        bound = f", at most {LARGEST}" if text.isdecimal() and text.strip("0") else ""
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more{bound}, got {shortened(text)!r}")
    return int(text)


def _seed(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= int(text) < 2**63:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2**63 - 1, got {shortened(text)!r}")


def _size(text: str) -> int:
    """Bytes, from a number that may have a unit."""
    number, unit = (text[:-2], text[-2:].upper()) if text[-2:].upper() in UNITS else (text, "")
    if number.isdecimal() and len(number) <= 20 and 1 <= int(number) * UNITS[unit] < 2**63:
        return int(number) * UNITS[unit]
    raise argparse.ArgumentTypeError(
        f"expected a size such as 4GB, 500MB or a number of bytes, got {shortened(text)!r}"
    )


def shortened(text: str) -> str:
    """A text that is not too long for a line."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fraction(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in [0, 1], got {text!r}")


def _sigma(text: str) -> str | float:
    if text in SIGMAS:
        return text
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(
        f"expected one of {', '.join(SIGMAS)} or positive numbers, got {shortened(text)!r}"
    )


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    with contextlib.suppress(ValueError):
        if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count) <= LARGEST:
            return int(index), int(count)
    raise argparse.ArgumentTypeError(f"expected I/N with 0 <= I < N, such as 0/4, got {shortened(text)!r}")


def _device(text: str) -> torch.device:
    import torch

    if text == "cuda" and "LOCAL_RANK" in os.environ:
        text = f"cuda:{os.environ['LOCAL_RANK']}"  # under torchrun, one GPU per rank
    try:
        return torch.empty(0, dtype=torch.float64, device=text).device
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected a usable device, got {text!r}: {error}".splitlines()[0]) from error
