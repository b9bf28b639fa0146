"""A log across the files that it was rotated into, by supervisord's own handler where it rotates."""

import contextlib
import gzip
import os

import pytest
from supervisor.loggers import RotatingFileHandler

from kraftd.host.logs import LogReader, archive_numbered, compress, log_files, number_current, tail

NOW_S = 1_767_225_600.0


class Written:
    """A log, written and rotated by supervisord's own handler, and archived as the daemon does it."""

    def __init__(self, path, most_bytes=100):
        self.path = path
        self._handler = RotatingFileHandler(str(path), maxBytes=most_bytes, backupCount=3)

    def write(self, text):
        self._handler.stream.write(text.encode())
        self._handler.stream.flush()
        self._handler.doRollover()

    def archive(self):
        archive_numbered(self.path, NOW_S)

    def archive_from_under_it(self):
        number_current(self.path)
        self.archive()

    def reopen(self):
        self._handler.reopen()

    def compress(self, but=1):
        archived = [each for each in log_files(self.path) if each.archived and not each.is_compressed]
        for each in archived[: len(archived) - but]:
            compress(each)

    def close(self):
        self._handler.close()


@pytest.fixture
def log(tmp_path):
    log = Written(tmp_path / "console.log")
    yield log
    log.close()


@pytest.fixture
def reader(log):
    with contextlib.closing(LogReader(log.path)) as reader:
        yield reader


def numbered(first, last):
    return [f"line {number}" for number in range(first, last)]


def write_numbered(log, first, last):
    for line in numbered(first, last):
        log.write(f"{line}\n")


@pytest.mark.parametrize(("lines", "expected"), [(2, ["b", "c"]), (9, ["a", "b", "c"]), (0, [])])
def test_the_tail_is_the_last_lines(tmp_path, lines, expected):
    (tmp_path / "log").write_text("a\nb\nc\n")

    assert tail(tmp_path / "log", lines) == expected


def test_the_tail_of_a_huge_file_is_bounded_in_bytes(tmp_path):
    (tmp_path / "log").write_text("x" * 100 + "\nlast\n")

    assert tail(tmp_path / "log", 10, most_bytes=8) == ["xx", "last"]


@pytest.mark.parametrize("width", [0, 1, 9, 70_000])
def test_as_many_lines_as_are_asked_for_are_read_backwards(tmp_path, width):
    lines = [f"{number:06}{'x' * width}" for number in range(12 if width > 9 else 30_000)]
    (tmp_path / "log").write_text("".join(f"{line}\n" for line in lines) + "cut")

    for count in (1, 2, len(lines) - 1, len(lines), len(lines) + 1, 10**6):
        assert tail(tmp_path / "log", count, most_bytes=None) == [*lines, "cut"][-count:]


def test_an_absent_file_has_no_tail(tmp_path):
    assert tail(tmp_path / "absent", 5) == []


def test_a_line_of_a_log_ends_with_a_line_feed_alone(tmp_path):
    log = tmp_path / "console.log"
    log.write_bytes("one\rstill\x0cone\u2028of\x85it\n\ntwo\r\n".encode())

    assert tail(log, 10) == ["one\rstill\x0cone\u2028of\x85it", "", "two\r"]
    assert tail(log, 1) == ["two\r"]


def test_the_files_of_a_log_are_in_the_order_in_which_they_were_written(log):
    for number in range(3):
        log.write(f"{number}" * 120 + "\n")
        log.archive()
    log.compress()
    log.write("x" * 120 + "\n")
    log.write("y" * 120 + "\n")
    log.path.with_name("console.log.old").write_text("another")

    files = log_files(log.path)

    assert [each.path.name.removeprefix("console.log") for each in files] == [
        "-20260101T000000.000000Z.gz",
        "-20260101T000000.000001Z.gz",
        "-20260101T000000.000002Z",
        ".2",
        ".1",
        "",
    ]
    assert [each.is_current for each in files] == [False] * 5 + [True]
    assert log_files(log.path.with_name("absent") / "a.log") == []


def test_the_tail_goes_back_into_rotated_and_compressed_files(log):
    write_numbered(log, 0, 30)
    log.archive()
    log.compress()
    write_numbered(log, 30, 45)

    for count in (1, 5, 15, 30, 44, 45, 60):
        assert tail(log.path, count, most_bytes=None) == numbered(0, 45)[-count:]


def test_the_tail_of_a_log_whose_file_was_just_rotated_is_that_of_the_file_before(log):
    log.write("x" * 120 + "\nlast words\n")

    assert log.path.read_text() == ""
    assert tail(log.path, 1) == ["last words"]


def test_files_of_before_are_not_read_for_what_was_written_since(log):
    log.write("old" * 40 + "\n")
    os.utime(log.path.with_name("console.log.1"), (NOW_S, NOW_S))
    log.write("new\n")

    assert tail(log.path, 9, since_s=NOW_S + 1) == ["new"]
    assert tail(log.path, 9, since_s=NOW_S) == ["old" * 40, "new"]


def test_a_line_that_is_cut_by_a_rotation_is_one(log):
    log.write("x" * 99 + "a")
    log.write("b\nnext\n")

    assert tail(log.path, 2) == ["x" * 99 + "ab", "next"]
    assert tail(log.path, 1) == ["next"]


def test_a_compressed_file_is_private_has_the_time_of_its_original_and_replaces_it(log):
    log.write("x" * 120 + "\n")
    log.archive()
    [original, _] = log_files(log.path)
    log.compress(but=0)
    [packed, _] = log_files(log.path)

    assert packed.path.name == f"{original.path.name}.gz"
    assert (packed.written_ns, packed.path.stat().st_mode & 0o777) == (original.written_ns, 0o600)
    assert gzip.decompress(packed.path.read_bytes()) == b"x" * 120 + b"\n"
    assert not original.path.exists()


def test_an_original_that_a_crash_left_beside_its_compressed_file_counts_once(log):
    log.write("x" * 120 + "\n")
    log.archive()
    content = log_files(log.path)[0].path
    text = content.read_bytes()
    log.compress(but=0)
    content.write_bytes(text)

    assert tail(log.path, 9) == ["x" * 120]


def test_of_a_damaged_archive_the_lines_before_the_damage_are_told(log):
    write_numbered(log, 0, 30)
    log.archive()
    log.compress(but=0)
    [first, *_] = log_files(log.path)
    first.path.write_bytes(first.path.read_bytes()[:-12])
    log.write("new\n")

    assert tail(log.path, 1) == ["new"]
    assert len(tail(log.path, 100)) > 1


def test_a_reader_goes_on_through_archives_that_were_compressed_meanwhile(log, reader):
    log.write("before\n")
    reader.seek_last(0)

    write_numbered(log, 0, 20)
    log.archive()
    log.compress()
    write_numbered(log, 20, 50)
    told = list(reader.lines())
    log.archive()
    log.compress(but=0)
    log.write("last\n")

    assert [*told, *reader.lines()] == [*numbered(0, 50), "last"]


def test_what_is_written_to_a_renamed_file_before_it_is_opened_anew_is_told(log, reader):
    log.write("before\n")
    reader.seek_last(0)

    log.archive_from_under_it()
    log.write("to the renamed file\n")
    told = list(reader.lines())
    log.write("to the renamed file too\n")
    log.reopen()
    log.write("to the new one\n")

    assert told == ["to the renamed file"]
    assert list(reader.lines()) == ["to the renamed file too", "to the new one"]


def test_a_reader_begins_at_the_first_file_that_was_written_to_since(log, reader):
    log.write("old" * 40 + "\n")
    os.utime(log.path.with_name("console.log.1"), (NOW_S, NOW_S))
    log.write("new\n")

    reader.seek_since(NOW_S + 1)
    assert list(reader.lines()) == ["new"]
    reader.seek_since(NOW_S)
    assert list(reader.lines()) == ["old" * 40, "new"]


def test_a_log_that_comes_later_is_told_from_its_beginning(tmp_path):
    with contextlib.closing(LogReader(tmp_path / "console.log")) as reader:
        reader.seek_last(0)
        assert list(reader.lines()) == []
        with contextlib.closing(Written(tmp_path / "console.log")) as log:
            write_numbered(log, 0, 30)

        assert list(reader.lines()) == numbered(0, 30)
