"""Putting this package in the place of pycocotools, and taking it away again."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAME = "pycocotools"
REPLACED = ("coco", "cocoeval")

_before: dict[str, Any] = {}  # what was in sys.modules; empty while nothing is installed


def install() -> None:
    """Let ``import pycocotools.coco`` and ``.cocoeval`` give the modules of this package, until :func:`uninstall`.

    ``pycocotools.mask`` stays pycocotools' own if that is installed; otherwise it is this package's, which has no
    polygons. Call this before anything imports names from pycocotools: those that were imported stay as they are.

    Example:
        >>> install()
        >>> from pycocotools.cocoeval import COCOeval
        >>> COCOeval.__module__
        'detmetrics.compat.pycocotools.cocoeval'
        >>> uninstall()
    """
    if _before:
        return
    mask = mask_module()
    names = [NAME, *(f"{NAME}.{part}" for part in (*REPLACED, "mask"))]
    saved = {name: sys.modules.get(name) for name in names}
    package = saved[NAME]
    if package is None:
        package = ModuleType(NAME, "detmetrics.compat.pycocotools in the place of pycocotools.")
        package.__path__ = []
    saved_parts = {part: getattr(package, part) for part in (*REPLACED, "mask") if hasattr(package, part)}
    own = {part: importlib.import_module(f"{__package__}.{part}") for part in REPLACED}
    _before.update(modules=saved, package=package, parts=saved_parts)
    sys.modules[NAME] = package
    for part, module in {**own, "mask": mask}.items():
        sys.modules[f"{NAME}.{part}"] = module
        setattr(package, part, module)


def uninstall() -> None:
    """Put back what :func:`install` replaced."""
    if not _before:
        return
    for part in (*REPLACED, "mask"):
        delattr(_before["package"], part)
    for part, module in _before["parts"].items():
        setattr(_before["package"], part, module)
    for name, module in _before["modules"].items():
        if module is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = module
    _before.clear()


def mask_module() -> Any:
    """``pycocotools.mask`` if it can be imported, else this package's."""
    try:
        return importlib.import_module(f"{NAME}.mask")
    except ImportError:
        return importlib.import_module(f"{__package__}.mask")
