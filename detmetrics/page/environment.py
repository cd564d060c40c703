"""What the templates of pages are made with."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """Loads the templates of this folder; names in them are escaped, and unknown ones raise."""
    return Environment(
        loader=PackageLoader("detmetrics.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
