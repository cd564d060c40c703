"""Files that unpack to more than they are."""

import gzip
import os
import re
import threading
import tracemalloc
from pathlib import Path

import pytest

from detmetrics.files.bounded import TooLargeError, read_bytes
from detmetrics.files.coco import from_coco


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * (200 << 20) + b"]"))
    assert path.stat().st_size < 1 << 20
    return path


def test_gzip_is_read_no_further_than_the_limit(bomb: Path) -> None:
    tracemalloc.start()
    message = f"{bomb}: expected a file that unpacks to at most 0.01 GB, got more; if you trust it, raise max_bytes"
    with pytest.raises(TooLargeError, match=re.escape(message)):
        from_coco(bomb, [], max_bytes=10_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50 << 20


def test_the_limit_can_be_raised(bomb: Path) -> None:
    assert len(read_bytes(bomb, 1 << 30)) == 2 + (200 << 20)
    assert len(read_bytes(bomb, 10**30)) == 2 + (200 << 20)


def test_plain_files_have_no_limit_and_pipes_do(tmp_path: Path) -> None:
    plain, pipe = tmp_path / "plain", tmp_path / "pipe"
    plain.write_bytes(bytes(100))
    assert len(read_bytes(plain, 10)) == 100
    os.mkfifo(pipe)
    for limit in (10, 1000):
        writer = threading.Thread(target=pipe.write_bytes, args=(bytes(100),))
        writer.start()
        if limit == 10:
            with pytest.raises(TooLargeError):
                read_bytes(pipe, limit)
        else:
            assert len(read_bytes(pipe, limit)) == 100
        writer.join()


@pytest.mark.parametrize("content", [gzip.compress(b"[]" * 99)[:-9], b"\x1f\x8b", b"\x1f\x8b\x08" + b"x" * 40])
def test_damaged_gzip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"end-of-stream|block type|header|Not a gzipped|method"):
        read_bytes(path)
