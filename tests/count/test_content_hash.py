"""Equal content has equal hashes in any dtype, batch and block; other content has others."""

import itertools

import pytest
import torch

from detmetrics.count import content_hash
from detmetrics.count.content_hash import hash_content

DTYPES = [torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.float16, torch.float32, torch.float64]


def labels(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 200, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_dtype_does_not_matter(dtype: torch.dtype) -> None:
    maps = labels(0, 3, 7, 5)
    assert torch.equal(hash_content(maps.to(dtype)), hash_content(maps))
    masks = maps > 99
    assert torch.equal(hash_content(masks), hash_content(masks.to(dtype)))


def test_negative_values_are_values() -> None:
    maps = torch.tensor([[-1, 3], [-100, 3]])
    assert torch.equal(hash_content(maps.to(torch.int16)), hash_content(maps))
    assert torch.equal(hash_content(maps.float()), hash_content(maps))
    assert len(set(hash_content(maps).tolist())) == 2


@pytest.mark.parametrize("shape", [(6,), (6, 9), (6, 5, 7), (6, 3, 4, 5)])
def test_batches_blocks_and_memory_layouts_do_not_matter(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = labels(1, *shape)
    expected = hash_content(maps)
    assert torch.equal(torch.cat([hash_content(maps[at : at + 1]) for at in range(6)]), expected)
    if len(shape) > 2:
        assert torch.equal(hash_content(maps.transpose(1, 2).contiguous().transpose(1, 2)), expected)
    for size in (1, 4, 11, 60):
        monkeypatch.setattr(content_hash, "BLOCK", {"cpu": size, "cuda": size})
        assert torch.equal(hash_content(maps), expected)


def test_one_thread_hashes_as_two_do() -> None:
    maps, before, found = labels(2, 2, 900, 700), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(hash_content(maps))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_every_small_content_has_a_hash_of_its_own() -> None:
    maps = torch.tensor(list(itertools.product(range(4), repeat=6)))
    assert len(set(hash_content(maps).tolist())) == 4**6


def test_where_a_value_is_matters() -> None:
    single = torch.eye(4096, dtype=torch.uint8)  # a one at each of 4096 positions
    assert len(set(hash_content(single).tolist())) == 4096
    pairs = single + single.roll(1, dims=0)
    assert len(set(hash_content(pairs).tolist())) == 4096


def test_the_shape_matters() -> None:
    shapes = [(1, 6), (1, 2, 3), (1, 3, 2), (1, 6, 1), (1, 1, 6), (1, 5), (1, 0), (1, 0, 3), (1,)]
    assert len({hash_content(torch.zeros(shape)).item() for shape in shapes}) == len(shapes)


def test_no_images_and_no_pixels() -> None:
    assert hash_content(torch.zeros(0, 4, 4)).tolist() == []
    assert len(hash_content(torch.zeros(3, 0))) == 3
