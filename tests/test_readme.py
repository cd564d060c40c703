"""Every block of code in the README and in the guides runs and prints what stands below it."""

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detmetrics.cli import main

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
GUIDES = ["detmetrics.guides.training", "detmetrics.cli"]  # doctests run what is not in blocks
OURS = ("detmetrics", "torchrun")  # the commands that are run here


def script_name(code: str) -> str | None:
    """The name of a block that is a file of its own, which its first line tells."""
    found = re.match(r"# (\w+\.py)\n", code)
    return found[1] if found else None


def blocks(text: str) -> list[tuple[str, str]]:
    """The languages and the codes of all blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def outputs(text: str = README) -> list[tuple[str, str, str]]:
    """Each block of code with its language and the text that stands below it, empty if there is none."""
    found = blocks(text)
    followers = [*found[1:], ("", "")]
    return [
        (language, code, expected if next_language == "text" else "")
        for (language, code), (next_language, expected) in zip(found, followers, strict=True)
        if language != "text"
    ]


@pytest.mark.filterwarnings("ignore")  # Lightning and the loggers have much to say about small examples
def test_the_python_blocks_print_the_text_below_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one namespace, as a reader would follow them."""
    monkeypatch.chdir(tmp_path)  # some write files
    monkeypatch.setenv("WANDB_SILENT", "true")
    namespace: dict[str, Any] = {}
    for language, code, expected in outputs():
        if language == "python" and not script_name(code):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "README.md", "exec"), namespace)
            assert printed.getvalue() == expected, code


def test_every_block_has_a_language_that_is_tested() -> None:
    for text in texts().values():
        assert {language for language, _ in blocks(text)} <= {"python", "text", "sh"}


def texts() -> dict[str, str]:
    return {"README": README, **{name: importlib.import_module(name).__doc__ or "" for name in GUIDES}}


@pytest.mark.parametrize("name", ["README", *GUIDES])
def test_the_shell_blocks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one folder, in which a data set and the scripts of the text lie."""
    monkeypatch.chdir(tmp_path)
    text = texts()[name]
    for language, code, _ in outputs(text):
        if language == "python" and (script := script_name(code)):
            Path(script).write_text(code)
    run("detmetrics demo --images 5 --save .")
    for language, code, expected in outputs(text):
        for command in commands(code) if language == "sh" else []:
            if command.startswith(OURS):
                printed = run(command)
                assert printed == expected if expected else printed.count("Average Precision") == 6, command


def commands(code: str) -> list[str]:
    return [command.strip() for line in code.splitlines() for command in line.split("&&")]


def run(command: str) -> str:
    """What the command prints; ``detmetrics`` runs in this process, without the seconds that an import takes."""
    first, *rest = shlex.split(command)
    if first == "detmetrics":
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main(rest) == 0
        return printed.getvalue()
    launcher = [sys.executable, "-m", "torch.distributed.run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, *rest], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_other_commands_are_those_that_ci_runs() -> None:
    every = [command for language, code, _ in outputs() if language == "sh" for command in commands(code)]
    others = [command for command in every if not command.startswith(OURS)]
    assert others == ['pip install ".[cli]"', 'pip install -e ".[dev]"', "pytest"]
