"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tinygrad_margin.files import write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


def test_write_whole(tmp_path: Path) -> None:
    path = tmp_path / "J.svg"
    write_whole(path, b"one")
    write_whole(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["J.svg"]


@posix
def test_write_whole_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o604)
    write_whole(tmp_path / "new", b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


@posix
def test_write_whole_follows_links_and_leaves_devices(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a/target")
    for content in (b"one", b"two"):  # the target is missing, then there
        write_whole(tmp_path / "link", content)
        assert (tmp_path / "a" / "target").read_bytes() == content
    assert (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", b"three")
    assert os.read(reader, 10) == b"three"
    os.close(reader)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(errno.ENOSPC, "disk full")])
@pytest.mark.parametrize("existing", [True, False])
def test_write_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException, existing: bool
) -> None:
    def fail(*_: object) -> None:
        raise trouble

    if existing:
        (tmp_path / "J.svg").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(trouble)) as caught:
        write_whole(tmp_path / "J.svg", b"new")
    assert isinstance(trouble, KeyboardInterrupt) or "make room" in str(caught.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * existing


def test_write_that_breaks_off(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "J.svg"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="file is as it was"):
            write_whole(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["J.svg"])


def test_write_whole_says_what_to_do(tmp_path: Path) -> None:
    for path, error, advice in [
        (tmp_path / "none" / "J.svg", FileNotFoundError, "make the folder"),
        (tmp_path, IsADirectoryError, "name of a file"),
    ]:
        with pytest.raises(error, match=advice) as caught:
            write_whole(path, b"new")
        assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder; root, as in a container, becomes another user."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no permission bits")
    with TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.chmod(name, 0o755)
            if root:
                os.seteuid(0)


def test_write_whole_without_permission(unprivileged: Path) -> None:
    target = unprivileged / "J.svg"
    target.write_bytes(b"old")
    target.chmod(0o444)
    with pytest.raises(PermissionError, match="where you may write"):
        write_whole(target, b"new")
    target.chmod(0o644)
    unprivileged.chmod(0o555)
    with pytest.raises(PermissionError, match="where you may write"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
