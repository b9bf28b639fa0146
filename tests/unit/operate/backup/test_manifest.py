import json
from dataclasses import replace

import pytest

from kraftd.errors import ConfigurationError, IdentityMismatchError, UnknownNameError
from kraftd.operate.backup.content import chosen_backup
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.manifest import (
    BackupFile,
    BackupManifest,
    BackupPartition,
    BackupTopic,
    chain_of,
    continued_from,
    manifest_bytes,
    parse_manifest,
    pieces_of,
    removable,
    sealed,
)
from kraftd.operate.backup.target import open_target


def manifest(name, parent=None, *, topic_id="T", begin=0, end=10, continues=None):
    file = BackupFile(f"topics/t/0/{name}.records", 100, "ab", 1, end - begin)
    part = BackupPartition(0, begin, end, parent is not None if continues is None else continues, (file,))
    return sealed(
        BackupManifest(
            id=name,
            kind="logical",
            created_at=f"2026-01-01T00:00:00.{name}Z",
            finished_at="",
            kraftd_version="1",
            kafka_version="3.9.2",
            cluster="local",
            cluster_id="C",
            parent=parent.id if parent else None,
            parent_checksum=parent.checksum if parent else None,
            topics=(BackupTopic("t", topic_id, 2, {"retention.ms": "1"}, (part,)),),
        )
    )


FULL = manifest("1")
SECOND = manifest("2", FULL, begin=10, end=15)
THIRD = manifest("3", SECOND, begin=15, end=15)
KNOWN = {each.id: each for each in (FULL, SECOND, THIRD)}


def test_a_manifest_is_read_as_it_was_written():
    assert parse_manifest(manifest_bytes(SECOND), "here") == SECOND


def test_a_changed_manifest_is_damaged_wherever_its_text_changes():
    content = manifest_bytes(FULL)
    for place, byte in enumerate(content):
        if bytes([byte]).isspace():
            continue
        with pytest.raises((DamagedBackupError, IdentityMismatchError)):
            parse_manifest(content[:place] + bytes([byte ^ 1]) + content[place + 1 :], "here")


@pytest.mark.parametrize("change", [{"format_version": 2}, {"format": "tar"}])
def test_a_newer_or_foreign_archive_is_refused_as_such(change):
    content = json.dumps(json.loads(manifest_bytes(FULL)) | change).encode()

    with pytest.raises(IdentityMismatchError) as raised:
        parse_manifest(content, "here")

    assert raised.value.code == "archive_too_new"


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b", ""])
def test_a_manifest_names_no_file_outside_of_its_backup(path):
    part = replace(FULL.topics[0].partitions[0], files=(BackupFile(path, 1, ""),))
    odd = replace(FULL, topics=(replace(FULL.topics[0], partitions=(part,)),))

    with pytest.raises(DamagedBackupError):
        parse_manifest(manifest_bytes(sealed(odd)), "here")


def test_a_chain_begins_with_the_full_backup():
    assert chain_of(THIRD, KNOWN) == (FULL, SECOND, THIRD)
    assert chain_of(FULL, KNOWN) == (FULL,)


@pytest.mark.parametrize("known", [{}, {"2": SECOND}, KNOWN | {"1": replace(FULL, checksum="another")}])
def test_a_chain_with_a_missing_or_another_backup_is_broken(known):
    with pytest.raises(DamagedBackupError) as raised:
        chain_of(THIRD, known)

    assert raised.value.code == "chain_broken"


def test_a_partition_has_the_files_of_its_chain_as_far_back_as_it_continues():
    anew = manifest("4", THIRD, topic_id="U", continues=False)

    assert [piece.backup for piece in pieces_of((FULL, SECOND, THIRD), "t", 0)] == ["1", "2", "3"]
    assert [piece.backup for piece in pieces_of((FULL, SECOND, THIRD, anew), "t", 0)] == ["4"]
    assert pieces_of((FULL,), "t", 1) == ()


@pytest.mark.parametrize(
    ("topic_id", "partition", "end", "expected"),
    [("T", 0, 20, 10), ("T", 0, 10, 10), ("T", 0, 9, None), ("U", 0, 20, None), ("T", 1, 5, None)],
)
def test_a_partition_continues_where_it_is_the_same_log(topic_id, partition, end, expected):
    assert continued_from(FULL, "t", topic_id, partition, end) == expected


def test_pruning_keeps_the_newest_and_what_they_continue():
    later = manifest("4")
    every = (FULL, SECOND, THIRD, later)

    assert removable(every, 1) == (FULL, SECOND, THIRD)
    assert removable(every, 2) == ()
    assert removable((*every, manifest("5", later)), 2) == (FULL, SECOND, THIRD)
    with pytest.raises(ConfigurationError):
        removable(every, 0)


def test_a_place_without_backups_says_how_one_is_made(tmp_path):
    with pytest.raises(UnknownNameError) as raised:
        chosen_backup(open_target(str(tmp_path), tmp_path), None)

    assert "kraftd backup create" in raised.value.hint


def test_a_manifest_that_is_nested_too_deeply_is_damaged():
    with pytest.raises(DamagedBackupError, match="recursion"):
        parse_manifest(b"[" * 100_000, "t/1/manifest.json")


def test_every_damage_names_the_check_of_a_whole_target():
    assert "kraftd backup verify" in DamagedBackupError("cannot read a frame").hint


@pytest.mark.parametrize(
    "url",
    [
        "s3://ada:hunter2@bucket/x",
        "ftp://ada:hunter2@127.0.0.1",
        "ftp://:hunter2@127.0.0.1/x",
        "simplecache::ftp://ada:hunter2@127.0.0.1/x",
        "zip://x::ftp://ada:hunter2@127.0.0.1/x",
    ],
)
def test_a_target_with_a_password_in_its_url_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigurationError) as raised:
        open_target(url, None)

    assert raised.value.code == "unusable_target"
    assert "hunter2" not in str(raised.value)


def test_a_target_whose_name_is_not_utf_8_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="its name is not UTF-8"):
        open_target(f"{tmp_path}/\udcff", tmp_path)


def test_a_target_without_a_name_is_not_the_current_directory(tmp_path):
    with pytest.raises(ConfigurationError, match="target '': it is empty"):
        open_target("", tmp_path)


@pytest.mark.parametrize("url", ["memory://container@account.dfs.core.windows.net/a", "memory://host:21/a@b:c"])
def test_a_user_or_a_container_in_a_url_is_no_password(url):
    assert open_target(url, None).names() == []
