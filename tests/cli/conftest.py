"""The smallest files that the command evaluates."""

from pathlib import Path

import pytest

from tests.cli.commands import ANNOTATIONS, RESULT, write


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """Paths of the smallest pair of files: a cat, found with an IoU of .9."""
    return [write(tmp_path / "gt.json", ANNOTATIONS), write(tmp_path / "dt.json", [RESULT])]
