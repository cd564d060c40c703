"""A hierarchy of classes as an argument: a dict of labels, or a tree of names as Open Images publishes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detmetrics import arguments
from detmetrics.arguments import FrozenDict
from detmetrics.match.hierarchy import ancestors

NAME, CHILDREN = "LabelName", "Subcategory"  # keys of a node of the tree


def parents_of(name: str, value: Any, declared: Mapping[int, str] | None) -> FrozenDict[int, tuple[int, ...]]:
    """The classes above each class, by label.

    Args:
        name: What errors call the argument.
        value: A dict from label to the label right above it, or to several; or a tree, a dict with the name of a class
            and a list of the trees below. The root of a tree is no class, and nodes that are not declared are passed
            over.
        declared: The names of the classes by label, if they are declared.

    Raises:
        ValueError: if it is neither, has a class above itself, or names classes that are not declared.

    Example:
        >>> pets = {"LabelName": "pet", "Subcategory": [{"LabelName": "cat"}]}
        >>> tree = {"LabelName": "/m/0bl9f", "Subcategory": [pets]}
        >>> parents_of("hierarchy", tree, {0: "cat", 1: "pet"})
        {0: (1,)}
    """
    if isinstance(value, Mapping) and (NAME in value or CHILDREN in value):
        return _from_tree(name, value, declared)
    expected = "a dict from label to the labels above it, or Open Images' tree"
    if not isinstance(value, Mapping):
        raise arguments.fail(name, expected, value)
    parents = {}
    for label, above in value.items():
        listed = arguments.plain(above)
        listed = [arguments.plain(x) for x in listed] if isinstance(listed, Sequence) else [listed]
        if not all(type(x) is int for x in [arguments.plain(label), *listed]):
            raise ValueError(f"{name}: expected {expected}, got {label!r}: {above!r}")
        parents[int(label)] = tuple(sorted(set(listed)))
    labels = {*parents, *(x for above in parents.values() for x in above)}
    if declared is not None and not labels <= set(declared):
        raise arguments.fail(name, "labels that are declared", sorted(labels - set(declared)))
    return FrozenDict(ancestors(dict(sorted(parents.items()))))


def _from_tree(
    name: str, tree: Mapping[str, Any], declared: Mapping[int, str] | None
) -> FrozenDict[int, tuple[int, ...]]:
    if declared is None:
        raise ValueError(f"{name}: expected class_names with a tree of names, got None")
    labels = {title: label for label, title in declared.items()}
    parents: dict[int, set[int]] = {}
    for title, above in _nodes(name, tree, ()):
        if title in labels:
            known = parents.setdefault(labels[title], set())
            known |= {labels[x] for x in above if x in labels}
    if not parents:
        first = next((title for title, _ in _nodes(name, tree, ())), None)
        raise ValueError(f"{name}: expected names of the declared classes, got a tree without any, such as {first!r}")
    found = {label: tuple(sorted(above)) for label, above in sorted(parents.items()) if above}
    return FrozenDict(ancestors(found))


def _nodes(name: str, tree: Any, above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names below the root of a tree, with all names above them but that of the root."""
    for node in tree.get(CHILDREN, ()):
        if not isinstance(node, Mapping) or not isinstance(node.get(NAME), str):
            raise ValueError(f"{name}: expected nodes with a name under {NAME!r}, got {node!r}"[:200])
        yield node[NAME], above
        yield from _nodes(name, node, (*above, node[NAME]))
