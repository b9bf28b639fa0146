"""The frames of a backup's record files (docs/backup.md): records as bytes and back, each byte under a checksum. Pure.

A file is a magic and frames. A frame is a header and the columns of some records, compressed with zstd.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import zstandard

from kraftd.errors import KraftdError
from kraftd.kafka.model import HeaderPairs, Records

FILE_MAGIC = b"KRAFTD-BACKUP-1\n"
FRAME_MAGIC = b"KBF1"

_HEADER = struct.Struct("<4sIIIqqI")
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<i")
FRAME_HEADER_BYTES = _HEADER.size + _CRC.size
_COMPRESSION_LEVEL = 1
_ABSENT = -1
_REMEDY = "'kraftd backup verify' checks a whole target; an undamaged copy, or another backup (--id), is needed."


class DamagedBackupError(KraftdError):
    """A backup does not read as it was written; the text names the file and the place."""

    exit_code: ClassVar[int] = 1
    code = "archive_damaged"

    def __init__(
        self, message: str, *, hint: str = _REMEDY, code: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code, details=details)


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The part of a frame that is not compressed.

    Attributes:
        payload_bytes: What follows in the file, compressed.
        raw_bytes: The same, decompressed.
        records: The number of records, at least 1.
        first_offset: The offset of the first record.
        last_offset: The offset of the last record.
        payload_crc: The CRC-32 of what follows in the file.
    """

    payload_bytes: int
    raw_bytes: int
    records: int
    first_offset: int
    last_offset: int
    payload_crc: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a file, not decompressed.

    Attributes:
        number: Its place among the frames of the file, from 0.
        position: Its first byte in the file.
    """

    number: int
    position: int
    header: FrameHeader
    payload: bytes

    @property
    def end(self) -> int:
        """The first byte after it in the file."""
        return self.position + FRAME_HEADER_BYTES + len(self.payload)

    def records(self) -> Records:
        """Return the records of the frame.

        Raises:
            DamagedBackupError: They do not decompress, or to something else than the header says.
        """
        try:
            raw = zstandard.ZstdDecompressor().decompress(self.payload, max_output_size=self.header.raw_bytes)
            found = _decoded(raw, self.header.records)
        except (zstandard.ZstdError, ValueError, IndexError, struct.error) as error:
            raise damaged(self.number, self.position, f"its records cannot be read ({error})") from error
        if (found.offsets[0], found.offsets[-1]) != (self.header.first_offset, self.header.last_offset):
            raise damaged(self.number, self.position, "its offsets are not those of its header")
        return found


def encoded_frame(records: Records) -> bytes:
    """Return a frame of at least one record."""
    raw = _encoded(records)
    payload = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress(raw)
    header = _HEADER.pack(
        FRAME_MAGIC,
        len(payload),
        len(raw),
        len(records),
        records.offsets[0],
        records.offsets[-1],
        zlib.crc32(payload),
    )
    return b"".join((header, _CRC.pack(zlib.crc32(header)), payload))


def frames(read: Callable[[int], bytes]) -> Iterator[Frame]:
    """Yield the frames of a file with their payloads verified, though not decompressed.

    Args:
        read: Returns the next bytes of the file, fewer only at its end.

    Raises:
        DamagedBackupError: The file is not a record file, or is cut or damaged at a place that the text names.
    """
    magic = read(len(FILE_MAGIC))
    if magic != FILE_MAGIC:
        raise DamagedBackupError("it does not begin as a record file does (byte 0)", details={"byte": 0})
    number, position = 0, len(FILE_MAGIC)
    while head := read(FRAME_HEADER_BYTES):
        header = _parsed_header(head, number, position)
        payload = read(header.payload_bytes)
        if len(payload) < header.payload_bytes:
            raise damaged(number, position, "it is cut short")
        if zlib.crc32(payload) != header.payload_crc:
            raise damaged(number, position, "its checksum is wrong")
        yield Frame(number, position, header, payload)
        number += 1
        position += FRAME_HEADER_BYTES + header.payload_bytes


def damaged(number: int, position: int, what: str) -> DamagedBackupError:
    """Return the error of a frame."""
    return DamagedBackupError(f"frame {number} at byte {position}: {what}", details={"frame": number, "byte": position})


def _parsed_header(head: bytes, number: int, position: int) -> FrameHeader:
    if len(head) < FRAME_HEADER_BYTES:
        raise damaged(number, position, "its header is cut short")
    magic, *fields = _HEADER.unpack_from(head)
    (crc,) = _CRC.unpack_from(head, _HEADER.size)
    if magic != FRAME_MAGIC or zlib.crc32(head[: _HEADER.size]) != crc:
        raise damaged(number, position, "its header is damaged")
    header = FrameHeader(*fields)
    if not header.records:
        raise damaged(number, position, "it has no records")
    return header


def _encoded(records: Records) -> bytes:
    count = len(records)
    blobs = (
        [_encoded_headers(records.headers[index]) if index in records.headers else b"" for index in range(count)]
        if records.headers
        else []
    )
    return b"".join(
        (
            struct.pack(f"<{count}q", *records.offsets),
            struct.pack(f"<{count}q", *records.timestamps_ms),
            bytes(records.timestamp_types),
            struct.pack(f"<{count}i", *_lengths(records.keys)),
            struct.pack(f"<{count}i", *_lengths(records.values)),
            struct.pack(f"<{count}i", *map(len, blobs)) if blobs else bytes(4 * count),
            *filter(None, records.keys),
            *filter(None, records.values),
            *blobs,
        )
    )


def _lengths(column: Iterable[bytes | None]) -> list[int]:
    return [_ABSENT if item is None else len(item) for item in column]


def _encoded_headers(pairs: HeaderPairs) -> bytes:
    parts = []
    for name, value in pairs:
        encoded = name.encode()
        parts += [_LENGTH.pack(len(encoded)), encoded, _LENGTH.pack(_ABSENT if value is None else len(value))]
        parts.append(value or b"")
    return b"".join(parts)


def _decoded(raw: bytes, count: int) -> Records:
    offsets = struct.unpack_from(f"<{count}q", raw)
    timestamps_ms = struct.unpack_from(f"<{count}q", raw, 8 * count)
    types = raw[16 * count : 17 * count]
    lengths = [struct.unpack_from(f"<{count}i", raw, (17 + 4 * column) * count) for column in range(3)]
    position = 29 * count
    keys, position = _cut(raw, position, lengths[0])
    values, position = _cut(raw, position, lengths[1])
    blobs, position = _cut(raw, position, lengths[2]) if any(lengths[2]) else ([], position)
    if position != len(raw):
        raise ValueError(f"{len(raw) - position} bytes too many")
    headers = {index: _decoded_headers(blob) for index, blob in enumerate(blobs) if blob}
    return Records(offsets, timestamps_ms, tuple(types), keys, values, headers)


def _cut(raw: bytes, position: int, lengths: Sequence[int]) -> tuple[list[bytes | None], int]:
    found: list[bytes | None] = []
    for length in lengths:
        if length < 0:
            found.append(None)
            continue
        found.append(raw[position : position + length])
        position += length
    if position > len(raw):
        raise ValueError(f"{position - len(raw)} bytes too few")
    return found, position


def _decoded_headers(blob: bytes) -> HeaderPairs:
    pairs: list[tuple[str, bytes | None]] = []
    position = 0
    while position < len(blob):
        (name,), position = _cut(blob, position + _LENGTH.size, _LENGTH.unpack_from(blob, position))
        (value,), position = _cut(blob, position + _LENGTH.size, _LENGTH.unpack_from(blob, position))
        pairs.append(((name or b"").decode(), value))
    return tuple(pairs)
