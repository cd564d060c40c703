"""A page, its text and its data."""

import pytest

from detmetrics.files.coco import CocoData
from detmetrics.page import render
from tests.page.pages import Page, coco_data, evaluated


@pytest.fixture(scope="package")
def data() -> CocoData:
    return coco_data()


@pytest.fixture(scope="package")
def text(data: CocoData) -> str:
    return render(evaluated(data), title="<b>Cats</b> & dogs", data=data)


@pytest.fixture(scope="package")
def page(text: str) -> Page:
    return Page(text)
