"""Write a file completely or not at all.

>>> file_format("J.SVG", "draw", ["svg", "png"])
'svg'
"""

import errno
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_WHAT_TO_DO = {
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "a part of this path is a file, not a folder",
    errno.EISDIR: "give the name of a file in it",
    errno.ENOSPC: "make room first",
    errno.EPIPE: "whoever reads from this pipe has gone",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place where you may write"),
}


def file_format(to: str | os.PathLike[str], writer: str, formats: Sequence[str]) -> str:
    """The suffix of a file name, without the dot.

    Raises TypeError if it is no file name, ValueError if the writer has no such format.
    """
    if not isinstance(to, (str, os.PathLike)):
        raise TypeError(
            f"{writer} writes to a file by its name, a text or a Path; got {type(to).__name__} "
            f"{to!r:.60}"
        )
    suffix = Path(to).suffix.lower().removeprefix(".")
    if suffix not in formats:
        known = ", ".join(f".{each}" for each in formats)
        raise ValueError(f"{writer} writes {known}; got {os.fspath(to)!r}")
    return suffix


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file completely or not at all: after a failure the old content is still there.

    A symbolic link is followed. An OSError (FileNotFoundError, PermissionError, …) says what to do.
    """
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.tmp")
    try:
        exists = os.path.exists(target)
        if exists and not (os.path.isfile(target) or os.path.isdir(target)):
            Path(target).write_bytes(data)  # a device or a pipe: root could replace /dev/full
            return
        if exists:
            open(target, "ab").close()  # fails if it is read-only or a folder
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            if exists:
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        advice = _WHAT_TO_DO.get(error.errno or 0, "the file is as it was")
        raise OSError(error.errno, f"{error.strerror}; {advice}", os.fspath(path)) from None
