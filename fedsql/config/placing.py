"""Files that appear all together or not at all, and never in another file's place; secrets are for their owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fedsql.errors import ConfigError


def write_new(files: Mapping[Path, str | bytes], private: Collection[Path] = ()) -> list[Path]:
    """Write all files or none; return their paths. Raises ConfigError naming those that exist: nothing is overwritten.

    Those in ``private`` are 0600, and folders made for them 0700.
    """
    with placed(files, private) as written:
        return written


@contextmanager
def placed(files: Mapping[Path, str | bytes], private: Collection[Path] = ()) -> Iterator[list[Path]]:
    """Write files as `write_new` does; when what is done with them fails, they go again, and the folders made for them."""
    if taken := [path for path in files if path.exists()]:
        raise ConfigError(*(f"{path}: is there already; move it, or choose another folder" for path in taken))
    made: list[Path] = []
    try:
        try:
            for path, content in files.items():
                _make_folders(path.parent, made, private=path in private)
                _write(path, content, made, private=path in private)
        except OSError as error:
            raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from None
        yield list(files)
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # a folder stays where somebody else has put a file meanwhile
                path.rmdir() if path.is_dir() else path.unlink()
        raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in here with the same folder, and keep it so.

    Where the system or the file system knows no such locks, nobody waits: then `replace` must notice.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, or a folder that is not there, as whoever reads it will say
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace(path: Path, content: str, before: str) -> None:
    """Put ``content`` in the place of a file that held ``before``, at one stroke; its rights and owner stay.

    Raises ConfigError, also when the file holds something else by now.
    """
    target = path.resolve()  # a link goes on to point to it
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        old = target.stat()
        _write(draft, content, [], private=True)
        if (old.st_uid, old.st_gid) != (draft.stat().st_uid, draft.stat().st_gid):
            with suppress(PermissionError):  # root's alone; without it the coordinator, say, could not read its file
                os.chown(draft, old.st_uid, old.st_gid)
        draft.chmod(stat.S_IMODE(old.st_mode))
        if target.read_bytes() != before.encode():
            raise ConfigError(
                f"{path}: was changed by somebody else a moment ago; nothing was written", hint="try again"
            )
        os.replace(draft, target)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def read_private(path: Path, what: str = "the private key", hint: str | None = None) -> bytes:
    """Return the content of a secret. Raises ConfigError, also (POSIX) when others than its owner have any right to it.

    ``hint`` is for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"{path}: {what} is open to other users", hint=f"chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=hint) from None


def _make_folders(folder: Path, made: list[Path], *, private: bool) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):  # mkdir's own ``parents`` would leave these open
        each.mkdir(mode=0o700 if private else 0o777)
        made.append(each)


def _write(path: Path, content: str | bytes, made: list[Path], *, private: bool) -> None:
    handle = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600 if private else 0o666
    )
    made.append(path)
    with open(handle, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
