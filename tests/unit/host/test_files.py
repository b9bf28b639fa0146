import errno
import os
import stat

import pytest

from kraftd.errors import FileAccessError
from kraftd.host.files import (
    changed_files,
    hint_names_setting,
    make_private_directory,
    os_errors_named,
    read_text,
    read_user_text,
    remove,
    tree_bytes,
    write_atomically,
    write_changed,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_written_file_is_its_owners_alone_and_so_is_its_directory(tmp_path):
    path = tmp_path / "new" / "file"

    write_atomically(path, "é\n")

    assert path.read_bytes() == "é\n".encode()
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for another user")
def test_what_root_writes_in_the_directory_of_a_user_is_that_users(tmp_path):
    os.chown(tmp_path, 1234, 1235)
    (tmp_path / "old").write_text("root's")

    for name in ("new", "old", "in/there/new"):
        write_atomically(tmp_path / name, "text")

    found = [(tmp_path / name).stat() for name in ("new", "old", "in", "in/there", "in/there/new")]
    assert {(each.st_uid, each.st_gid) for each in found} == {(1234, 1235)}
    assert [stat.S_IMODE(each.st_mode) for each in found] == [0o600, 0o600, 0o700, 0o700, 0o600]


def test_every_directory_that_is_made_on_the_way_is_its_owners_alone(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o755)

    make_private_directory(tmp_path / "theirs" / "a" / "b" / "c")

    made = ("theirs/a", "theirs/a/b", "theirs/a/b/c")
    assert [mode(tmp_path / name) for name in made] == [0o700] * 3
    assert mode(tmp_path / "theirs") == 0o755


def test_nothing_is_written_through_a_link_in_the_place_of_the_temporary_file(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / f".file.{os.getpid()}").symlink_to(tmp_path / "theirs")

    write_atomically(tmp_path / "file", "ours")

    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "file").read_text() == "ours"
    assert not (tmp_path / "file").is_symlink()


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "theirs")

    write_atomically(tmp_path / "file", "ours")

    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "file").read_text() == "ours"


def test_writing_leaves_nothing_beside_the_file(tmp_path):
    write_atomically(tmp_path / "file", "one")
    write_atomically(tmp_path / "file", "two")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "two"


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udcff")

    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_where_a_directory_must_be_is_explained(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(FileAccessError, match=f"cannot make the directory {tmp_path}/file/below") as caught:
        make_private_directory(tmp_path / "file" / "below")

    assert caught.value.exit_code == 4
    assert caught.value.details == {"path": f"{tmp_path}/file/below"}


@pytest.mark.parametrize(
    ("number", "code", "remedy"),
    [
        (
            errno.ENOSPC,
            "disk_full",
            "Free disk space, or choose another place with cluster.state_dir (--state-dir).",
        ),
        (
            errno.EACCES,
            "permission_denied",
            "Give this user access to it, or choose another place with cluster.state_dir (--state-dir).",
        ),
        (errno.EROFS, "permission_denied", "Choose another place with cluster.state_dir (--state-dir)."),
    ],
)
def test_what_the_system_refuses_is_told_with_its_remedy(tmp_path, number, code, remedy):
    with pytest.raises(FileAccessError) as caught, os_errors_named("write", tmp_path):
        raise OSError(number, os.strerror(number))

    assert str(caught.value) == f"cannot write {tmp_path}: {os.strerror(number).lower()}"
    assert (caught.value.code, caught.value.hint) == (code, remedy)


def test_of_a_place_that_another_setting_moves_that_setting_is_named(tmp_path):
    def refused(path):
        cache = hint_names_setting(tmp_path / "cache", "XDG_CACHE_HOME")
        with pytest.raises(FileAccessError) as caught, cache, os_errors_named("write", path):
            raise OSError(errno.EACCES, "denied")
        return caught.value.hint

    assert refused(tmp_path / "cache" / "jars" / "a.jar") == (
        "Give this user access to it, or choose another place with XDG_CACHE_HOME."
    )
    assert "cluster.state_dir" in refused(tmp_path / "other")


def test_only_files_that_differ_are_written(tmp_path):
    same, other, new = (tmp_path / name for name in ("same", "other", "new"))
    same.write_text("text")
    other.write_text("before")
    texts = {same: "text", other: "after", new: "text"}

    assert changed_files(texts) == (other, new)
    assert write_changed(texts) == (other, new)
    assert write_changed(texts) == ()


def test_an_absent_file_has_no_text(tmp_path):
    (tmp_path / "file").write_text("x")

    assert read_text(tmp_path / "absent") is None
    assert read_text(tmp_path / "file" / "below") is None


def test_a_directory_has_no_text_to_read(tmp_path):
    with pytest.raises(FileAccessError, match="cannot read"):
        read_text(tmp_path)


def test_bytes_that_are_no_text_are_read_all_the_same(tmp_path):
    (tmp_path / "file").write_bytes(b"a\xffb")

    assert read_text(tmp_path / "file") == "a\ufffdb"


def test_removing_takes_files_trees_and_nothing_behind_a_link(tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")

    for name in ("tree", "link", "absent"):
        remove(tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_bytes_of_a_tree_are_those_of_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "two").write_bytes(b"45")

    assert tree_bytes(tmp_path) == 5
    assert tree_bytes(tmp_path / "absent") == 0


def test_a_byte_order_mark_is_no_part_of_a_persons_text(tmp_path):
    (tmp_path / "a").write_bytes("a = 'caf\u00e9'\r\n".encode("utf-8-sig"))

    assert read_user_text(tmp_path / "a") == "a = 'caf\u00e9'\r\n"
    assert read_user_text(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("a = 1\nname = 'caf\u00e9'\n".encode("latin-1"), "it is not UTF-8: byte 0xe9 (at line 2, column 12)"),
        ("\ufeff\u00e9\n\u00e9".encode() + b"\xff", "it is not UTF-8: byte 0xff (at line 2, column 2)"),
        ("a = 1".encode("utf-16"), "it is UTF-16, and must be UTF-8"),
        ("a = 1".encode("utf-16-be"), "it is UTF-16, and must be UTF-8"),
    ],
)
def test_a_persons_text_in_another_encoding_is_refused_with_its_place(tmp_path, content, fault):
    (tmp_path / "a").write_bytes(content)

    with pytest.raises(FileAccessError) as refused:
        read_user_text(tmp_path / "a")

    assert (str(refused.value), refused.value.hint) == (f"cannot read {tmp_path / 'a'}: {fault}", "Save it in UTF-8.")
