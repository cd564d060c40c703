"""What pages in the tests are made of, and what is read off them."""

from html.parser import HTMLParser
from typing import Any

from detmetrics import MeanAveragePrecision, demo
from detmetrics.files.coco import CocoData, from_coco, to_coco

NAMES = ["person", "<script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>", "a & b </svg></title>", "unicorn"]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The elements of a page with the text in them; the rows of its tables by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.tables: dict[str, list[list[list[str]]]] = {}  # by section: tables of rows of cells
        self.data: list[list[list[str | None]]] = []
        self.section, self.open, self.cell = "", [], None
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"]
        elif tag == "table":
            self.tables.setdefault(self.section, []).append([])
        elif tag == "tr":
            self.tables[self.section][-1].append([])
        elif tag in ("td", "th"):
            self.cell = [dict(attrs).get("data-value"), ""]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            value, text = self.cell
            self.tables[self.section][-1][-1].append(text.strip() if value is None else value)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        if self.cell is not None:
            self.cell[1] += data

    def rows(self, section: str, table: int = 0) -> list[list[str]]:
        """The rows below the header: what sorts a cell where that is told, else its text."""
        return self.tables[section][table][1:]

    def attributes(self, tag: str, name: str) -> list[Any]:
        return [attributes[name] for each, attributes in self.elements if each == tag and name in attributes]


def number(text: str) -> float:
    return float(text or "nan")


def coco_data(num_images: int = 24, seed: int = 0) -> CocoData:
    """Images of 640 x 480 in which ``unicorn`` never occurs, every third without a file name."""
    preds, target = demo.generate(num_images, num_detections=12, num_classes=4, seed=seed)
    annotations, results = to_coco(preds, target, categories=dict(enumerate(NAMES)))
    for image in annotations["images"]:
        if image["id"] % 3:
            image["file_name"] = f'val/{image["id"]:03d} <&".jpg'
    return from_coco(annotations, results)


def evaluated(data: CocoData, **arguments: Any) -> MeanAveragePrecision:
    metric = MeanAveragePrecision(
        **{"box_format": "xywh", "class_names": data.categories, "pairs": "all", **arguments},
    )
    for batch in data.batches(7):
        metric.update(*batch)
    return metric


def drawn(page: Page) -> list[list[tuple[str, list[float]]]]:
    """The rectangles of each thumbnail, with their kinds."""
    shown: list[list[tuple[str, list[float]]]] = []
    for tag, attributes in page.elements:
        if tag == "image" and attributes["href"].startswith("data:image/jpeg"):
            shown.append([])
        elif tag == "rect" and shown and attributes.get("class", "halo") != "halo":
            box = [float(attributes[key]) for key in ("x", "y", "width", "height")]
            shown[-1].append((attributes["class"], box))
    return shown
