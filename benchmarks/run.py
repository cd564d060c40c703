"""The command line: ``python -m benchmarks.run`` from the root of the repository."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import (
    aims,
    detection_analysis,
    detection_collection,
    detection_counts,
    detection_dense,
    detection_lvis,
    detection_map,
    instance_masks,
    keypoints,
    label_map_files,
    panoptic,
    report,
    segmentation_counts,
    surfaces,
)
from benchmarks.harness import Problem, available_cpus, differences, measure

PROBLEMS = (
    detection_map.PROBLEM,
    detection_map.GROWTH,
    detection_counts.PROBLEM,
    detection_collection.PROBLEM,
    detection_analysis.PROBLEM,
    detection_dense.DENSE,
    detection_dense.CLASSES,
    detection_lvis.PROBLEM,
    instance_masks.PROBLEM,
    keypoints.PROBLEM,
    panoptic.PROBLEM,
    *segmentation_counts.PROBLEMS,
    label_map_files.PROBLEM,
    surfaces.PROBLEM,
)
RESULTS = Path(__file__).parent / "results"
SIZES = ("images", "detections", "targets", "classes", "batch_size", "height", "width")
SMOKE_TOLERANCE = 1e-12


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    if args.check:
        return int(aims.check(RESULTS))
    problems = [problem for problem in PROBLEMS if args.problem in (None, problem.name)]
    attempt = _smoke if args.smoke else _compare
    failed = [problem.name for problem in problems if attempt(problem, args)]
    if failed:
        _log(f"failed: {', '.join(failed)}")
    return int(bool(failed))


def _compare(problem: Problem, args: argparse.Namespace) -> bool:
    """Measure a problem, print its table and keep it; whether one of ours failed."""
    given = {name: value for name in SIZES if name in problem.size and (value := getattr(args, name)) is not None}
    size = {**problem.size, **given}
    contenders = [contender for contender in problem.contenders if _selected(contender.name, args.only)]
    if not contenders:
        return False
    options = {name: getattr(args, name) for name in ("device", "threads", "rounds", "busy")}
    rows = measure(problem, contenders, size, **options, log=_log)
    text = report.markdown(problem, rows, size, args.device, args.threads, args.busy)
    print(text, flush=True)
    if not args.only:
        changed = {**given, **({"busy": args.busy} if args.busy else {})}
        stem = "-".join([problem.name, args.device, *(f"{name}_{value}" for name, value in changed.items())])
        content = report.as_json(problem, rows, size, args.device, args.threads, args.busy)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{stem}.md").write_text(text)
        (RESULTS / f"{stem}.json").write_text(json.dumps(content, indent=1) + "\n")
    return any(row.failed and row.contender.ours for row in rows)


def _smoke(problem: Problem, args: argparse.Namespace) -> bool:
    """Run ours once on little data; whether one failed, or our own ways to a statistic disagree."""
    size = {**problem.size, **problem.small}
    ours = [contender for contender in problem.contenders if contender.ours and not contender.size]
    rows = measure(problem, ours, size, device=args.device, threads=args.threads, rounds=0, log=_log)
    measured = [row for row in rows if row.rounds]
    agree = all(max(differences(row, measured[0]).values(), default=0.0) <= SMOKE_TOLERANCE for row in measured)
    return not agree or any(row.failed for row in rows)


def _selected(name: str, only: list[str]) -> bool:
    return not only or any(part.lower() in name.lower() for part in only)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Measure detmetrics and every installed peer on the same generated data. Tables of a whole problem "
        "go to benchmarks/results; with --only they are printed and not kept.",
    )
    parser.add_argument("--problem", choices=[problem.name for problem in PROBLEMS], help="default: all, in turn")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="contenders whose name contains this"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the tensors are")
    parser.add_argument("--threads", type=int, default=available_cpus(), help="CPU cores for each contender")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds; slow contenders get one")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="processes that spin on the same CPUs")
    for name in SIZES:
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, metavar="N", help="instead of the problem's own size"
        )
    parser.add_argument("--check", action="store_true", help="compare the newest results with what they should reach")
    parser.add_argument("--smoke", action="store_true", help="ours alone, once, on little data; nothing is written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
