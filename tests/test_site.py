"""The reference is built from the docstrings: every link leads somewhere, every section is one that pdoc knows."""

import html.parser
import importlib
import inspect
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).resolve().parent.parent / ".site"
SECTIONS = {"Args", "Attributes", "Example", "Raises", "Returns", "Source", "Warns", "Yields"}


class Page(html.parser.HTMLParser):
    """The targets of links in a page, its anchors, and the words that are set as code outside of links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.unlinked: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        values = dict(attrs)
        self.anchors.update(value for key in ("id", "name") if (value := values.get(key)))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("a", "code", "pre"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "code", "pre") and tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if self._inside == ["code"] and re.fullmatch(r"detmetrics(\.\w+)+(\(\))?", data.strip()):
            self.unlinked.append(data.strip())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-W", "error", SITE / "build.py", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if goal not in pages or (anchor and anchor not in pages[goal].anchors):
                broken.append(f"{path.name}: {link}")
    assert not broken
    assert sum(len(page.links) for page in pages.values()) > 500


def test_every_public_name_that_a_page_mentions_is_a_link(pages: dict[Path, Page]) -> None:
    """``detmetrics.Name`` that pdoc cannot link is misspelt or not public."""
    unlinked = {f"{path.name}: {name}" for path, page in pages.items() for name in page.unlinked}
    assert not unlinked


def test_the_search_finds_a_metric_by_a_word_of_its_docstring(site: Path) -> None:
    index = (site / "search.js").read_text(encoding="utf-8")
    assert "DetectionF1Score" in index
    assert "harmonic mean" in index


# ----------------------------------------------------------------------------------------------------------- docstrings


def modules() -> dict[str, list[str]]:
    """The pages of the reference, and the names that each describes."""
    build = runpy.run_path(str(SITE / "build.py"))
    exporting = ("detmetrics", "detmetrics.functional", *build["REFERENCE"])
    return {**{name: importlib.import_module(name).__all__ for name in exporting}, **build["PARTS"]}


def public() -> Iterator[tuple[str, Any]]:
    """Everything that the reference describes: what modules export, and the methods of classes."""
    for module, names in modules().items():
        for name in names:
            thing = getattr(importlib.import_module(module), name)
            if isinstance(thing, ModuleType) or not callable(thing):
                continue
            yield f"{module}.{name}", thing
            if inspect.isclass(thing):
                for method, function in vars(thing).items():
                    if not method.startswith("_") and inspect.isfunction(function):
                        yield f"{module}.{name}.{method}", function


THINGS = dict(public())


@pytest.mark.parametrize("name", THINGS)
def test_public_names_are_documented_with_all_their_arguments(name: str) -> None:
    thing = THINGS[name]
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    parameters = _parameters(name)
    lists = _section(text, "Args") + _section(text, "Attributes")
    described = set(re.findall(r"^ {4}\**(\w+)(?: \([^)]*\))?:", lists, flags=re.M))
    inherits = not _section(text, "Args") and not inspect.isclass(thing) and "Args" not in (thing.__doc__ or "")
    if "." in name and inherits and _documented_in_a_base(name):
        return
    assert set(parameters) <= described, f"not described: {sorted(set(parameters) - described)}"


@pytest.mark.parametrize("name", THINGS)
def test_sections_are_those_that_are_parsed(name: str) -> None:
    headings = re.findall(r"^([A-Z]\w*):$", inspect.getdoc(THINGS[name]) or "", flags=re.M)
    assert set(headings) <= SECTIONS


def _parameters(name: str) -> list[str]:
    """What a caller gives: to a method without the object, and to a class only if it has a constructor of its own."""
    thing = THINGS[name]
    if inspect.isclass(thing):
        own = "__init__" in vars(thing) and not getattr(thing, "_is_protocol", False)
        return list(inspect.signature(thing).parameters) if own else []
    is_method = name.rpartition(".")[0] in THINGS
    return list(inspect.signature(thing).parameters)[is_method:]


def _section(text: str, name: str) -> str:
    found = re.search(rf"^{name}:\n((?:\n| .*\n?)+)", text, flags=re.M)
    return found[1] if found else ""


def _documented_in_a_base(name: str) -> bool:
    """Whether the method of a base says what the arguments are."""
    owner, _, method = name.rpartition(".")
    kind = THINGS.get(owner)
    bases = kind.__mro__[1:] if inspect.isclass(kind) else ()
    return any("Args:" in (getattr(base, method, None).__doc__ or "") for base in bases if hasattr(base, method))
