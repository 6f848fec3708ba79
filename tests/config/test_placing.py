"""Files come all together or not at all, take nobody's place, and secrets are their owner's alone."""

import os
import stat

import pytest

from fedsql.config.placing import placed, replace, write_new
from fedsql.errors import ConfigError

POSIX = pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")


def rights(path):
    return stat.S_IMODE(path.stat().st_mode)


@POSIX
def test_secrets_and_the_folders_made_for_them_are_their_owner_s(tmp_path):
    secret, plain = tmp_path / "a" / "b" / "key.pem", tmp_path / "c" / "readme"
    before = os.umask(0o022)
    try:
        assert write_new({secret: b"\x00\r\n", plain: "größe\n"}, [secret]) == [secret, plain]
    finally:
        os.umask(before)
    assert (secret.read_bytes(), plain.read_bytes()) == (b"\x00\r\n", "größe\n".encode())
    assert [rights(path) for path in (secret, secret.parent, secret.parent.parent)] == [0o600, 0o700, 0o700]
    assert [rights(path) for path in (plain, plain.parent)] == [0o644, 0o755]


def test_nothing_takes_a_place_that_is_taken(tmp_path):
    (tmp_path / "b").write_text("mine")
    with pytest.raises(ConfigError) as error:
        write_new({tmp_path / "new" / "a": "x", tmp_path / "b": "x"})
    assert error.value.problems == (f"{tmp_path / 'b'}: is there already; move it, or choose another folder",)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "mine"


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "b").write_text("a file")
    with pytest.raises(ConfigError, match="b/c: cannot be written: Not a directory"):
        write_new({tmp_path / "new" / "deep" / "a": "x", tmp_path / "b" / "c": "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_fails_afterwards_takes_the_files_along(tmp_path):
    (tmp_path / "there").mkdir()
    files = {tmp_path / "there" / "a": "x", tmp_path / "new" / "deep" / "b": "x", tmp_path / "other" / "c": "x"}

    def stopped():
        with placed(files) as written:
            assert all(path.exists() for path in written)
            (tmp_path / "other" / "somebody's").write_text("stays")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "other",
        "other/somebody's",
        "there",
    ]


@POSIX
def test_a_file_is_replaced_at_one_stroke_and_keeps_its_rights(tmp_path):
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "folder" / "f.toml", tmp_path / "link.toml"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    with file.open() as reader:
        replace(link, "new\r\n", "old")
        assert reader.read() == "old"  # who has it open sees the old one to the end
    assert (link.is_symlink(), file.read_bytes(), rights(file)) == (True, b"new\r\n", 0o640)
    assert [path.name for path in file.parent.iterdir()] == ["f.toml"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_root_replaces_stays_its_owner_s(tmp_path):
    file = tmp_path / "tls.pem"
    file.write_text("old")
    file.chmod(0o600)
    os.chown(file, 4321, 1234)
    replace(file, "new", "old")
    assert (file.read_text(), file.stat().st_uid, file.stat().st_gid, rights(file)) == ("new", 4321, 1234, 0o600)


def test_what_is_not_there_cannot_be_replaced(tmp_path):
    with pytest.raises(ConfigError, match=r"f.toml: cannot be written: No such file"):
        replace(tmp_path / "f.toml", "new", "old")
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(tmp_path):
    file = tmp_path / "f.toml"
    file.write_text("theirs")
    with pytest.raises(ConfigError, match="was changed by somebody else a moment ago"):
        replace(file, "ours", "old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f.toml", "theirs")]
