"""Files that belong together by their names, and errors about those that do not."""

from pathlib import Path

import numpy as np
import pytest

from detmetrics.files.pairs import find_pairs
from detmetrics.files.relabel import Relabelling


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_pairs_by_path(tmp_path: Path) -> None:
    gt = touch(tmp_path / "gt", "b.png", "a/b.png", "a/c.tif", "notes.txt", ".hidden/x.png", ".y.png")
    pred = touch(tmp_path / "pred", "b.npy", "a/b.nii.gz", "a/c.png", "log.json")
    pairs = find_pairs(gt, pred)
    assert [(pair.name, Path(pair.target).name, Path(pair.pred).name) for pair in pairs] == [
        ("a/b", "b.png", "b.nii.gz"),
        ("a/c", "c.tif", "c.png"),
        ("b", "b.png", "b.npy"),
    ]


def test_pairs_by_name_with_suffixes(tmp_path: Path) -> None:
    gt = touch(tmp_path / "gt", "ulm/ulm_1_gtFine_labelIds.png", "ulm/ulm_1_gtFine_color.png")
    pred = touch(tmp_path / "pred", "ulm_1_leftImg8bit.png")
    suffixes = {"target_suffix": "_gtFine_labelIds.png", "preds_suffix": "_leftImg8bit.png"}
    assert [pair.name for pair in find_pairs(gt, pred, **suffixes, by="name")] == ["ulm_1"]
    with pytest.raises(ValueError, match="expected a partner"):
        find_pairs(gt, pred, **suffixes)


@pytest.mark.parametrize(
    ("targets", "preds", "message"),
    [
        (["a.png", "b.png"], ["a.png"], "{gt}/b.png: expected a partner in {pred}, got none"),
        (["a.png"], ["a.png", "c.png"], "{pred}/c.png: expected a partner in {gt}, got none"),
        (
            [f"{i}.png" for i in range(7)],
            ["6.png"],
            "{gt}/0.png: expected a partner in {pred}, got none; 6 files have none, also 1, 2, 3, ...",
        ),
        (["a.png", "a.tif"], ["a.png"], "{gt}/a.tif: expected one file for 'a', got {gt}/a.png too"),
        (["a.jpg"], ["a.png"], "{gt}: expected label maps, got no files that end in .png, .tif, .npy, .npz or .nii"),
    ],
)
def test_files_without_a_partner(tmp_path: Path, targets: list[str], preds: list[str], message: str) -> None:
    folders = {"gt": touch(tmp_path / "gt", *targets), "pred": touch(tmp_path / "pred", *preds)}
    with pytest.raises(ValueError, match="expected") as error:
        find_pairs(folders["gt"], folders["pred"])
    assert str(error.value) == message.format(**folders)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="none: expected a folder"):
        find_pairs(tmp_path / "none", tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_relabelling(dtype: type) -> None:
    values = np.array([[0, 1, 2, 3, 255]], dtype=dtype)
    both = Relabelling(3, "both", kept=(255,))
    assert (
        both.apply(values, is_target=True).tolist()
        == both.apply(values, is_target=False).tolist()
        == [[3, 0, 1, 2, 255]]
    )
    target = Relabelling(3, "target", {2: 0, 1: None}, kept=(255,))  # reduced first, as in mmseg 1.x
    assert target.apply(values, is_target=True).tolist() == [[3, 0, 3, 0, 255]]
    assert target.apply(values, is_target=False).tolist() == [[0, 3, 0, 3, 255]]
    others = Relabelling(2, None, {2: 0, 3: 1}, others_void=True, kept=(255,))
    assert others.apply(values, is_target=True).tolist() == [[2, 2, 0, 1, 255]]
    assert not Relabelling(2, None, {2: 0}).makes_void
    assert all(relabelling.makes_void for relabelling in (both, target, others))


def test_relabelling_of_negative_and_distant_labels() -> None:
    relabelling = Relabelling(3, None, {-1: 0, 70_000: 2})
    assert relabelling.apply(np.array([[-1, 1, 70_000]]), is_target=True).tolist() == [[0, 1, 2]]
    with pytest.raises(
        ValueError, match="expected labels less than 1048576 apart, to relabel them, got -1 and 2000000"
    ):
        relabelling.apply(np.array([[-1, 2_000_000]]), is_target=True)
