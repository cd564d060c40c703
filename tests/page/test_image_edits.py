"""Random edits of folders of images: the page shows an image or says why not, whatever is in the place of a file."""

import base64
import contextlib
import io
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.files.test_edits import MOST_SECONDS, edit_bytes, ends_well
from tests.page.pages import Page

PER_PAGE = 12  # images, each of them edited
FEW, MANY = 10, 250  # pages
WIDTH, HEIGHT = 60, 40
SECRET = (255, 0, 255)  # the colour of a picture outside of the folder

ODD_NAMES: list[Any] = [
    *(
        "",
        ".",
        "..",
        "/",
        "\\",
        "~",
        "a\0b",
        "\n",
        "\x1b[31m",
        "\ud800",
        "\u202e",
        " ",
        "a" * 300,
        "/".join("a" * 3000),
    ),
    *(
        "../secret.png",
        "images/../../secret.png",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "C:\\a.png",
        "%2e%2e/a",
        "*",
    ),
    *(
        "http://localhost/a.png",
        "data:,",
        "<script>",
        "\"'&",
        "caf\u00e9.png",
        "cafe\u0301.png",
        "CON",
        "0.png/",
        "0.png/.",
    ),
]
MODES = ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16", "PA", "HSV"]
SUFFIXES = ["png", "jpg", "gif", "bmp", "tif", "webp", "jp2", "avif", "ppm", "tga", "ico", "eps", "pdf", "qoi", "sgi"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``images`` beside what must not be shown."""
    (tmp_path / "images").mkdir()
    (tmp_path / "outside").mkdir()
    for path in (tmp_path / "secret.png", tmp_path / "outside" / "a.png"):
        Image.new("RGB", (WIDTH, HEIGHT), SECRET).save(path)
    return tmp_path


@pytest.fixture
def alarm() -> Iterator[None]:
    """End a test that waits for ever."""

    def raise_(*_: Any) -> None:
        raise TimeoutError("still at it")  # within Pillow it may be taken for an error of the file; then time tells

    before = signal.signal(signal.SIGALRM, raise_)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def documents(names: list[Any], rng: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Images with a missed target and a wrong prediction each."""
    images: list[dict[str, Any]] = []
    for i, name in enumerate(names, 1):
        images.append({"id": i, "file_name": name})
        if rng.random() < 0.6:
            width, height = rng.choice([(WIDTH, HEIGHT)] * 4 + [(HEIGHT, WIDTH), (1, 1), (30, 20), (2**31 - 1, 7)])
            images[-1] |= {"width": width, "height": height}
    ids = [image["id"] for image in images]
    found = [{"image_id": i, "category_id": 1, "bbox": [20, 20, 9, 9], "score": 0.5} for i in ids]
    truth = [{"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 10, 20]} for i in ids]
    return {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": truth}, found


def picture(path: Path, rng: random.Random) -> None:
    """Save an image of any mode, format, size and orientation, as far as there is such."""
    size = rng.choice([(WIDTH, HEIGHT)] * 6 + [(HEIGHT, WIDTH), (1, 1), (1, 5000), (5000, 1), (2500, 1500), (30, 20)])
    image = Image.new(rng.choice(MODES), size)
    exif = Image.Exif()
    exif[0x0112] = rng.choice([1, 3, 6, 8, 0, 9, 65535])
    suffix = rng.choice(SUFFIXES)
    options = rng.choice([{}, {"exif": exif}, {"transparency": rng.choice([0, 300])}, {"append_images": [image] * 2}])
    for mode in (image, image.convert("RGB") if image.mode != "LAB" else Image.new("RGB", size)):
        with contextlib.suppress(Exception):  # what a format does not take is saved as RGB
            mode.save(path, Image.registered_extensions()[f".{suffix}"], **options)
            return


def fewer_bytes(path: Path, rng: random.Random) -> None:
    picture(path, rng)
    content = path.read_bytes() if path.exists() else b"x"
    path.write_bytes(rng.choice([b"", content[: rng.randrange(len(content))], edit_bytes(content, rng)]))


def flipped(path: Path, rng: random.Random) -> None:
    picture(path, rng)
    content = bytearray(path.read_bytes() if path.exists() else b"x")
    for _ in range(rng.randrange(1, 9)):  # headers come first
        content[rng.randrange(min(len(content), rng.choice([40, len(content)])))] = rng.randrange(256)
    path.write_bytes(content)


def link(path: Path, rng: random.Random) -> None:
    target = rng.choice(
        ["../secret.png", "../outside/a.png", path.name, "none", "/dev/zero", "/etc/passwd", ".", "ok.png"]
    )
    Image.new("RGB", (WIDTH, HEIGHT)).save(path.parent / "ok.png")
    path.symlink_to(rng.choice([Path(target), path.parent / target]))


def other_kind(path: Path, rng: random.Random) -> None:
    rng.choice([os.mkfifo, Path.mkdir, lambda path: os.mkfifo(path.with_suffix(".fifo")), no_permission])(path)


def no_permission(path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    path.chmod(0)


def sparse(path: Path, rng: random.Random) -> None:
    picture(path, rng)
    with path.open("ab") as file:
        file.truncate(rng.choice([10_000, 3_000_000_000]))  # takes no space


def huge(path: Path, rng: random.Random) -> None:
    """A header that promises more pixels than there are, of a format without compression."""
    width, height = rng.choice(
        [(6000, 6000), (9000, 9000), (2**31 - 1, 2**31 - 1), (65535, 65535), (10**9, 1), (1, 2**30)]
    )
    path.write_bytes(
        rng.choice([b"P5 %d %d 255 ", b"P6 %d %d 65535 ", b"Pf %d %d -1.0 ", b"P4 %d %d "]) % (width, height)
    )


EDITS: list[Callable[[Path, random.Random], None]] = [
    *(picture, picture, fewer_bytes, flipped, link, other_kind, sparse, huge),
    lambda path, rng: None,  # no such file
]


def edited(folder: Path, rng: random.Random) -> list[Any]:
    """Fill the folder anew, and return the names that the annotations shall have."""
    images = folder / "images"
    shutil.rmtree(images)
    images.mkdir()
    names: list[Any] = []
    for number in range(PER_PAGE):
        stem = rng.choice([str(number), f"sub/{number}", f"{number} \u00fc\n\u202e'\"<&"])
        path = images / f"{stem}.{rng.choice(SUFFIXES)}"
        path.parent.mkdir(exist_ok=True)
        rng.choice(EDITS)(path, rng)
        name = rng.choice([path.relative_to(images).as_posix()] * 6 + [f"./{path.name}", str(path)])
        names.append(rng.choice([name, name, name, rng.choice(ODD_NAMES)]))
    if rng.random() < 0.1:  # the folder of all the others is a link out of it
        shutil.rmtree(images / "sub", ignore_errors=True)
        (images / "sub").symlink_to(folder / "outside")
    return names


def show_edited_folders(folder: Path, seeds: range) -> None:
    shown, told = 0, 0
    for seed in seeds:
        rng = random.Random(seed)
        gt, dt, out = (folder / name for name in ("gt.json", "dt.json", "out.html"))
        for path, document in zip((gt, dt), documents(edited(folder, rng), rng), strict=True):
            path.write_text(json.dumps(document))
        signal.alarm(3 * MOST_SECONDS)
        try:
            images = str(folder / "images")
            assert ends_well(["evaluate", str(gt), str(dt), "--images", images, "--html", str(out)]) == 0
            page = Page(out.read_text(encoding="utf-8"))
            sources = [source for source in page.attributes("image", "href") if source.startswith("data:image/jpeg")]
            notes = [words for tag, words in page.texts if tag == "figcaption"]
            assert sum(tag == "figure" and "class" not in attributes for tag, attributes in page.elements) >= PER_PAGE
            assert len(notes) >= PER_PAGE
            assert not any(is_secret(source) for source in sources)
        except BaseException as error:
            error.add_note(f"seed {seed}") if hasattr(error, "add_note") else None
            raise
        shown, told = shown + len(sources), told + PER_PAGE - len(sources)
    assert shown > len(seeds)
    assert told > len(seeds)


def is_secret(source: str) -> bool:
    """Whether a data URI is the picture that lies outside."""
    image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    return bool(np.abs(np.asarray(image.resize((1, 1)), dtype=int)[0, 0] - SECRET).max() < 20)


@pytest.mark.usefixtures("alarm")
def test_edited_folders_of_images(folder: Path) -> None:
    show_edited_folders(folder, range(FEW))


@pytest.mark.slow
@pytest.mark.usefixtures("alarm")
def test_many_edited_folders_of_images(folder: Path) -> None:
    show_edited_folders(folder, range(FEW, MANY))
