"""Label maps in files: every format gives back its values, and a bad file an error of one line that names it."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from detmetrics.files.label_maps import READERS, LabelMap, check_pair, read_label_map
from tests.label_map_files import save

FLAT = np.array([[0, 1, 7], [255, 2, 0]], dtype=np.uint8)
DEEP = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.tif", "a.tiff", "a.npy", "a.npz", "a.nii", "a.nii.gz"])
def test_every_format_gives_back_its_values(tmp_path: Path, name: str) -> None:
    found = read_label_map(save(tmp_path / name, FLAT))
    assert found.values.tolist() == FLAT.tolist()
    assert found.values.dtype.kind in "iu"
    assert found.spacing == ((2.0, 0.5) if ".nii" in name else None)
    assert any(name.lower().endswith(suffix) for suffix in READERS)


@pytest.mark.parametrize(
    "values",
    [
        FLAT > 0,
        FLAT.astype(np.uint16) * 200,
        FLAT.astype(">i4") - 3,
        FLAT.astype(np.uint64) << 40,
        FLAT.astype(np.float32),
        FLAT.astype(np.float64) - 1,
        DEEP,
        FLAT.astype(np.uint32) << 24,
    ],
    ids=lambda values: str(values.dtype),
)
def test_dtypes_of_arrays(tmp_path: Path, values: NDArray[Any]) -> None:
    found = read_label_map(save(tmp_path / "a.npy", values)).values
    assert found.tolist() == values.astype(np.int64).tolist()
    import torch

    assert torch.from_numpy(found).dtype in (torch.uint8, torch.int16, torch.int32, torch.int64)


def test_images_of_other_depths(tmp_path: Path) -> None:
    palette = Image.fromarray(FLAT).convert("P")
    palette.putdata(FLAT.ravel().tolist())
    palette.putpalette([200, 10, 10] * 256)  # colours do not matter
    palette.save(tmp_path / "p.png", transparency=7)
    assert read_label_map(tmp_path / "p.png").values.tolist() == FLAT.tolist()
    Image.fromarray(FLAT > 1).save(tmp_path / "1.png")
    assert read_label_map(tmp_path / "1.png").values.tolist() == (FLAT > 1).astype(int).tolist()
    wide = FLAT.astype(np.uint16) * 200
    for name in ("16.png", "16.tif"):
        assert read_label_map(save(tmp_path / name, wide)).values.tolist() == wide.tolist()
    Image.fromarray(FLAT.astype(np.float32)).save(tmp_path / "f.tif")
    assert read_label_map(tmp_path / "f.tif").values.tolist() == FLAT.tolist()


def test_pages_of_a_tiff_are_planes(tmp_path: Path) -> None:
    first, *rest = [Image.fromarray(FLAT + i) for i in range(3)]
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    assert read_label_map(tmp_path / "a.tif").values.tolist() == [(FLAT + i).tolist() for i in range(3)]


def test_nifti(tmp_path: Path) -> None:
    found = read_label_map(save(tmp_path / "a.nii.gz", DEEP[..., None]))
    assert found.values.tolist() == DEEP.tolist()
    assert found.spacing == (2.0, 0.5, 3.0)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _arrays(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _npy(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", _png(Image.new("RGB", (4, 4))), "expected one channel, the label, got mode RGB"),
        ("a.png", b"no image", "cannot read it: cannot identify image file"),
        ("a.png", _png(Image.effect_noise((64, 64), 9))[:900], "cannot read it: "),
        ("a.tif", _png(Image.new("L", (4, 4))), "cannot read it: cannot identify image file"),
        ("a.npy", b"", "cannot read it: "),
        ("a.npy", _npy(np.zeros((2, 2)))[:-3], "cannot read it: mmap length is greater than file size"),
        ("a.npy", _npy(np.array([[None]])), "cannot read it: "),
        ("a.npy", _npy(np.array([[0.5]])), "expected whole numbers, the labels, got others"),
        ("a.npy", _npy(np.array([[np.nan]])), "expected whole numbers, the labels, got others"),
        ("a.npy", _npy(np.array([["a"]])), "expected whole numbers, got an array of <U1"),
        ("a.npy", _npy(np.zeros(3, np.uint8)), "expected a map of 2 or 3 dimensions, got shape (3,)"),
        ("a.npy", _npy(np.zeros((0, 3), np.uint8)), "expected a map with pixels, got shape (0, 3)"),
        ("a.npy", _npy(np.full((1, 1), 2**63, np.uint64)), "expected labels below 2**63, got 9223372036854775808"),
        ("a.npz", _arrays(a=FLAT, b=FLAT), "expected one array, got 2: ['a', 'b']"),
        ("a.npz", b"PK", "cannot read it: "),
        ("a.nii", b"\0" * 400, "cannot read it: "),
        ("a.nii.gz", b"\x1f\x8b\x08\x00", "cannot read it: "),
        ("a.jpg", b"", "expected a file that ends in .png, .tif, .tiff, .npy, .npz, .nii.gz, .nii"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"expected|cannot") as error:
        read_label_map(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: {message}")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npz", ".nii.gz"])
def test_how_much_a_file_may_unpack_to(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", np.zeros((300, 200), np.uint8))
    size = Path(path).stat().st_size
    assert size < 30_000
    with pytest.raises(ValueError, match="expected a file that unpacks to at most 50000 bytes, got ") as error:
        read_label_map(path, max_bytes=50_000)
    assert str(error.value).startswith(f"{path}: ")
    assert read_label_map(path, max_bytes=500_000).values.shape == (300, 200)


def test_an_image_that_claims_to_be_huge(tmp_path: Path) -> None:
    content = bytearray(_png(Image.new("L", (4, 4))))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.png: (expected a file that unpacks|cannot read it: Image size)"):
        read_label_map(tmp_path / "a.png")


def test_a_missing_file_and_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        read_label_map(tmp_path / "a.png")
    path = save(tmp_path / "a.nii", FLAT)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ImportError, match=r'label maps in NIfTI need nibabel: pip install "detmetrics\[medical\]"'):
        read_label_map(path)


def test_pairs_lie_on_one_grid() -> None:
    eye = np.eye(4)
    maps = LabelMap(FLAT, (1.0, 1.0), eye), LabelMap(FLAT, (1.0, 1.0), eye + 1e-6)
    check_pair("p", "t", maps)
    moved = LabelMap(FLAT, (1.0, 1.0), np.diag([1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"^p: expected the affine of t, got another"):
        check_pair("p", "t", (moved, maps[1]))
    check_pair("p", "t", (moved, maps[1]), ignore_affine=True)
    with pytest.raises(ValueError, match=r"^p: expected the shape of t, \(2, 3\), got \(3, 2\)"):
        check_pair("p", "t", (LabelMap(FLAT.T), maps[1]))
