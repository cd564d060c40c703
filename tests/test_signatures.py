"""Signatures are written out, documented on one page, and equal texts describe equal arguments."""

import inspect
import re
from typing import Any

import pytest
import torchmetrics

import detmetrics
from detmetrics import functional
from detmetrics.compat import pycocotools as compat_pycocotools
from detmetrics.compat import torchmetrics as compat_torchmetrics

CLASSES = [getattr(detmetrics, name) for name in detmetrics.__all__ if inspect.isclass(getattr(detmetrics, name))]
METRICS = [kind for kind in CLASSES if issubclass(kind, detmetrics.Metric) and kind is not detmetrics.Metric]
FUNCTIONS = [getattr(functional, name) for name in functional.__all__]


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    found.pop("self", None)
    return found


def documented(text: str | None) -> dict[str, str]:
    """The arguments of a Google docstring and their texts."""
    pattern = r"^ *Args:\n(.*?)(?=^ {0,4}\w[\w ]*:\n|\Z|^ {0,4}Source|^ {0,4}Example)"
    section = re.search(pattern, inspect.cleandoc(text or ""), re.M | re.S)
    if section is None:
        return {}
    parts = re.split(r"^ {4}(\w+): ", section[1], flags=re.M)[1:]
    return {name: " ".join(words.split()) for name, words in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_every_argument_of_a_metric_is_in_its_own_signature_and_docstring(kind: Any) -> None:
    assert "__init__" in vars(kind)
    own = parameters(kind)
    assert [name for name, p in own.items() if p.kind is p.VAR_KEYWORD] == ["kwargs"]
    assert documented(kind.__doc__).keys() == own.keys()
    assert "torchmetrics.Metric" in documented(kind.__doc__)["kwargs"]
    for name, parameter in own.items():
        assert parameter.annotation is not parameter.empty, name


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_argument_of_a_function_is_in_its_signature_and_docstring(function: Any) -> None:
    own = parameters(function)
    assert not [p for p in own.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert documented(function.__doc__).keys() == own.keys()
    for section in ("Returns:", "Raises:", "Example:", ">>> "):
        assert section in function.__doc__


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_function_takes_what_its_class_takes(function: Any) -> None:
    kinds = {re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in METRICS}
    by_words = {name.replace("_", ""): kind for name, kind in kinds.items()}
    kind = by_words.get(function.__name__.replace("_", ""))
    if kind is None:
        assert function.__name__ in ("segmentation_counts", "score_counts")  # two steps of a score
        return
    of_class = {n: (p.default, p.annotation) for n, p in parameters(kind).items() if n not in ("kwargs", "digits")}
    of_function = {n: (p.default, p.annotation) for n, p in parameters(function).items()}
    for inputs in parameters(kind.update):
        of_function.pop(inputs, None)
    assert repr(of_function) == repr(of_class)  # NaN is a default


def test_equal_arguments_have_equal_texts_within_a_family() -> None:
    texts: dict[tuple[str, str], set[str]] = {}
    for thing in [*METRICS, *FUNCTIONS]:
        family = thing.__module__.split(".")[1]
        for name, text in documented(thing.__doc__).items():
            if name not in ("preds", "target", "iou_type", "average", "class_names", "zero_division", "kwargs"):
                texts.setdefault((family, name), set()).add(text)
    differing = {argument: found for argument, found in texts.items() if len(found) > 1}
    assert not differing


def test_no_class_is_deeper_than_one_base_per_family() -> None:
    for kind in METRICS:
        own = [base for base in kind.__mro__ if issubclass(base, detmetrics.Metric)]
        between = own[: own.index(detmetrics.Metric)]
        assert len(between) <= 2, between  # the base of the family, and the class
        above = kind.__mro__[len(own) :]
        assert above[1] is torchmetrics.Metric, above  # but for what adapts torchmetrics


def test_help_shows_the_operating_point() -> None:
    text = inspect.getdoc(detmetrics.DetectionF1Score) or ""
    assert all(f"{name}: " in text for name in ("iou_threshold", "score_threshold", "average", "zero_division"))


# ------------------------------------------------------------------------------------------------------ compat packages

COMPAT = [getattr(compat_torchmetrics, name) for name in compat_torchmetrics.__all__]
COMPAT_METRICS = [thing for thing in COMPAT if inspect.isclass(thing)]
COMPAT_FUNCTIONS = [thing for thing in COMPAT if not inspect.isclass(thing)]
# Three of the laws above do not hold there. A function takes what torchmetrics' function takes, not what the class
# takes (tests/compat compares both with torchmetrics'). The base of BootStrapper is torchmetrics'. And pycocotools'
# mask functions take pycocotools' arguments, by which tests/compat/test_pycocotools.py calls them.


@pytest.mark.parametrize("kind", COMPAT_METRICS, ids=lambda kind: kind.__name__)
def test_every_argument_of_a_compat_metric_is_in_its_own_signature_and_docstring(kind: Any) -> None:
    test_every_argument_of_a_metric_is_in_its_own_signature_and_docstring(kind)


@pytest.mark.parametrize("function", COMPAT_FUNCTIONS, ids=lambda function: function.__name__)
def test_every_argument_of_a_compat_function_is_in_its_signature_and_docstring(function: Any) -> None:
    test_every_argument_of_a_function_is_in_its_signature_and_docstring(function)


def test_equal_arguments_of_compat_have_equal_texts() -> None:
    texts: dict[str, set[str]] = {}
    for thing in COMPAT:
        for name, text in documented(thing.__doc__).items():
            if name not in ("preds", "target", "class_metrics", "iou_threshold"):  # of pairs, or of results per class
                texts.setdefault(name, set()).add(text)
    assert not {argument: found for argument, found in texts.items() if len(found) > 1}


@pytest.mark.parametrize("thing", [compat_pycocotools.COCO, compat_pycocotools.COCOeval, compat_pycocotools.Params])
def test_every_argument_of_pycocotools_classes_is_documented(thing: Any) -> None:
    assert documented(thing.__doc__).keys() == parameters(thing).keys()
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__, name
            assert documented(method.__doc__).keys() <= parameters(method).keys()
