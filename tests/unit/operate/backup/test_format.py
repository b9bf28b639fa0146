import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraftd.kafka.model import Records
from kraftd.operate.backup.format import FILE_MAGIC, DamagedBackupError, encoded_frame, frames
from tests.unit.operate.backup.archives import records

NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
CONTENTS = st.none() | st.binary(max_size=40)
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def any_records(draw):
    count = draw(st.integers(1, 12))
    column = {"min_size": count, "max_size": count}
    offsets = sorted(draw(st.lists(st.integers(0, 2**63 - 1), unique=True, **column)))
    headers = draw(st.dictionaries(st.integers(0, count - 1), st.lists(st.tuples(NAMES, CONTENTS), min_size=1)))
    return Records(
        tuple(offsets),
        tuple(draw(st.lists(INT64, **column))),
        tuple(draw(st.lists(st.integers(0, 2), **column))),
        draw(st.lists(CONTENTS, **column)),
        draw(st.lists(CONTENTS, **column)),
        {index: tuple(pairs) for index, pairs in headers.items()},
    )


def read(content):
    return [frame.records() for frame in frames(io.BytesIO(content).read)]


@settings(deadline=None)
@given(st.lists(any_records(), max_size=3))
def test_records_are_read_as_they_were_written(batches):
    assert read(b"".join((FILE_MAGIC, *map(encoded_frame, batches)))) == batches


CONTENT = FILE_MAGIC + encoded_frame(records(0, 1, 2, headers={1: (("n", b"v"),)})) + encoded_frame(records(7, 9))


def test_each_frame_ends_where_the_next_one_begins_and_the_last_one_with_the_file():
    first, second = frames(io.BytesIO(CONTENT).read)

    assert (first.position, first.end, second.end) == (len(FILE_MAGIC), second.position, len(CONTENT))


@pytest.mark.parametrize("flipped", [0x01, 0x80, 0xFF])
def test_a_changed_byte_is_found_wherever_it_is(flipped):
    for place in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[place] ^= flipped
        with pytest.raises(DamagedBackupError) as raised:
            read(bytes(changed))
        assert raised.value.details["byte"] <= place


@settings(deadline=None)
@given(st.integers(0, len(CONTENT)), st.binary(min_size=1, max_size=60))
def test_bytes_that_were_put_in_are_found(place, more):
    changed = CONTENT[:place] + more + CONTENT[place:]
    if changed[: len(CONTENT)] == CONTENT and more == CONTENT[len(FILE_MAGIC) :]:
        return
    with pytest.raises(DamagedBackupError):
        read(changed)


def test_a_cut_within_a_frame_is_found_and_one_between_frames_leaves_whole_ones():
    first = len(FILE_MAGIC) + len(encoded_frame(records(0, 1, 2, headers={1: (("n", b"v"),)})))

    for size in set(range(1, len(CONTENT))) - {len(FILE_MAGIC), first}:
        with pytest.raises(DamagedBackupError):
            read(CONTENT[:size])

    assert len(read(CONTENT[:first])) == 1
