from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms import store_files
from transforms.store_files import LocalFiles, is_safe_path, open_files


def test_only_one_of_many_creates_a_file(tmp_path: Path) -> None:
    files = LocalFiles(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: files.create("a/b", b"%d" % number), range(32)))
    assert made.count(True) == 1
    assert files.read("a/b") == b"%d" % made.index(True)
    assert [found.path for found in files.find("")] == ["a/b"]


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP])
def test_create_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def no_link(*_: object) -> None:
        raise OSError(error, "")

    monkeypatch.setattr(os, "link", no_link)
    files = LocalFiles(str(tmp_path))
    assert files.create("a", b"first")
    assert not files.create("a", b"second")
    assert files.read("a") == b"first"


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "fsync", full)
    files = LocalFiles(str(tmp_path))
    with pytest.raises(InfrastructureFault, match="STORE_DISK_FULL"):
        files.create("a", b"content")
    new = files.open_new("b")
    new.write(b"content")
    with pytest.raises(InfrastructureFault, match="STORE_DISK_FULL"):
        new.close()
    new.abandon()
    assert list(files.find("")) == []


def test_a_new_file_must_not_exist(tmp_path: Path) -> None:
    files = LocalFiles(str(tmp_path))
    files.open_new("a").close()
    with pytest.raises(InfrastructureFault, match="STORE_FILE_FAILED"):
        files.open_new("a")


def test_a_folder_that_cannot_be_made_is_no_lost_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "no such folder")

    monkeypatch.setattr(store_files, "_make_folders", refuse)
    with pytest.raises(InfrastructureFault, match=r"STORE_FILE_FAILED.*check the store's path"):
        LocalFiles(str(tmp_path)).create("format.json", b"")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    files = LocalFiles(str(tmp_path))
    with pytest.raises(InfrastructureFault, match="gone/away"):
        files.read("gone/away")
    assert files.size("gone/away") is None
    files.delete("gone/away")
    assert list(files.find("gone")) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "outside")
    assert [found.path for found in LocalFiles(str(tmp_path / "store")).find("")] == []


@pytest.mark.parametrize("path", ["a/b.parquet", "telemetry/x/date=2026-01-01/r-1.parquet", "a..b"])
def test_safe_paths(path: str) -> None:
    assert is_safe_path(path)


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../b", "a//b", "a/.hidden", "a\nb", "a/", "a b", "ä"])
def test_unsafe_paths(path: str) -> None:
    assert not is_safe_path(path)


def test_a_url_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="STORE_FILESYSTEM"):
        open_files("s3://bucket/store")
