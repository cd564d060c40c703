"""The command ``detmetrics``: COCO numbers for a pair of files, for a generated data set, or from saved states.

Under ``torchrun`` the images are dealt out to the ranks, and rank 0 alone prints and writes. This module and the parser
of arguments import no torch, so that help and wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from detmetrics.cli.arguments import parse
from detmetrics.cli.output import check_outputs, tell, told_warnings
from detmetrics.cli.ranks import on_all_ranks, problem, process_group


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        The exit code: 0 done, 1 failed with one line on stderr, 130 interrupted, 141 if the reader of stdout has gone.
        Wrong arguments exit with 2.
    """
    arguments = parse(argv)
    try:
        with told_warnings(), process_group(arguments.device):
            on_all_ranks(lambda: check_outputs(arguments))
            _run(arguments)
        print(end="", flush=True)
    except KeyboardInterrupt:
        tell("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return 141
    except Exception as error:
        message = problem(error)
        if message is None:
            raise
        tell(f"error: {message}")
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    importlib.import_module(f"detmetrics.cli.{arguments.command}").run(arguments)
