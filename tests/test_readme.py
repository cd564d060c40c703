"""Every block of code in the README runs and prints what the README says it prints."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_python_blocks_print_the_text_below_them() -> None:
    """In order and in one namespace, as a reader would follow them."""
    namespace: dict[str, Any] = {}
    checked = 0
    for (language, code), (next_language, expected) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), namespace)
        if printed.getvalue():
            assert next_language == "text", f"no output shown below:\n{code}"
            assert printed.getvalue() == expected
            checked += 1
    assert checked == sum(language == "text" for language, _ in BLOCKS)


def test_every_block_has_a_language_that_is_tested() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "text", "sh"}


def shell_commands() -> list[str]:
    lines = "\n".join(code for language, code in BLOCKS if language == "sh").splitlines()
    return [command.strip() for line in lines if line for command in line.split("&&")]


@pytest.mark.parametrize("command", [c for c in shell_commands() if c.startswith("detmetrics")])
def test_the_commands_run(command: str, tmp_path: Path) -> None:
    run = [sys.executable, "-m", "detmetrics"]
    subprocess.run([*run, "demo", "--images", "5", "--save", "."], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run([*run, *shlex.split(command)[1:]], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.count("Average Precision") == 6


def test_the_other_commands_are_those_that_ci_runs() -> None:
    others = [c for c in shell_commands() if not c.startswith("detmetrics")]
    assert others == ['pip install ".[cli]"', 'pip install -e ".[dev]"', "pytest"]
