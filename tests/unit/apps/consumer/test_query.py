import pytest

from kraftd_apps.consumer.query import Selection, selected
from kraftd_apps.consumer.record import SeenRecord

HEADERS = (("trace", b"ab"), ("trace", b"cd"), ("none", None))
RECORD = SeenRecord(1, 7, 5000, b"Key", b'{"city": "K\xc3\xb6ln"}', HEADERS)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(partition=1),
        Selection(after=(1, 6)),
        Selection(since_ms=5000),
        Selection(text="KÖLN"),
        Selection(text="key"),
        Selection(text="cd"),
        Selection(text="trace"),
        Selection(key=b"Key"),
        Selection(header=("trace", b"cd")),
    ],
)
def test_what_is_asked_for_is_admitted(selection):
    assert selection.admits(RECORD)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(partition=0),
        Selection(after=(1, 7)),
        Selection(after=(0, 1)),
        Selection(since_ms=5001),
        Selection(text="berlin"),
        Selection(key=b"key"),
        Selection(key=b""),
        Selection(header=("trace", b"ef")),
        Selection(header=("none", b"")),
        Selection(partition=1, key=b"other"),
    ],
)
def test_what_is_not_asked_for_is_left_out(selection):
    assert not selection.admits(RECORD)


def test_no_more_than_the_limit_is_returned():
    assert selected([RECORD] * 5, Selection(), 3) == [RECORD] * 3


def test_bytes_that_are_no_text_do_not_stop_a_search():
    assert Selection(text="b").admits(SeenRecord(0, 0, None, b"\xff", b"\xfeb"))
