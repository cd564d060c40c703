"""Documents that a test may change."""

import copy
from typing import Any

import pytest

from tests.files.documents import ANNOTATIONS, RESULTS


@pytest.fixture
def annotations() -> dict[str, Any]:
    return copy.deepcopy(ANNOTATIONS)


@pytest.fixture
def results() -> list[dict[str, Any]]:
    return copy.deepcopy(RESULTS)
