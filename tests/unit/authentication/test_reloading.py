"""Files that change: the new content, once; what is wrong leaves the old one."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from kafila.authentication.reloading import LARGEST, follow, read


async def test_what_is_wrong_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    applied: asyncio.Queue[bytes] = asyncio.Queue()

    def apply(content: bytes) -> None:
        applied.put_nowait(content)
        if content == b"wrong":
            raise ValueError("it is wrong")
        if content == b"worse":
            raise ssl.SSLError("OpenSSL does not like it")

    task = asyncio.create_task(follow(file, b"one", apply, 0.001))
    try:
        for content in ("two", "wrong", "worse", "three"):
            file.write_text(content)
            seen = b""
            while seen != content.encode():  # half of a write may be seen too
                seen = await asyncio.wait_for(applied.get(), 30)
        file.unlink()
        file.write_text("four")
        while await asyncio.wait_for(applied.get(), 30) != b"four":
            pass
        assert not task.done()
    finally:
        task.cancel()


def test_a_file_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    for name in ("large", "none", ""):
        with pytest.raises(ValueError, match=r"is larger than|cannot be read"):
            read(tmp_path / name)
