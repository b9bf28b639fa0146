import pytest

from kraftd.spec.sizes import format_size, human_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("4g", 4 * 1024**3), ("512m", 512 * 1024**2), ("65536k", 64 * 1024**2), ("4G", 4 * 1024**3), (" 1g ", 1024**3)],
)
def test_a_size_is_a_whole_number_and_a_unit(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "4", "g", "4gb!", "4gb", "0g", "04g", "-1g", "1.5g", "4 g", "4t", "٤g", "4g\n4g"])
def test_anything_else_is_no_size(text):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(4 * 1024**3, "4g"), (1536 * 1024**2, "1536m"), (65536 * 1024, "64m"), (1025 * 1024, "1025k"), (1000, "1000")],
)
def test_the_shortest_exact_form_is_chosen(size_bytes, text):
    assert format_size(size_bytes) == text


@pytest.mark.parametrize("text", ["4g", "192m", "1025k"])
def test_a_formatted_size_reads_back(text):
    assert format_size(parse_size(text)) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(int(23.4 * 1024**3), "23.4 GiB"), (int(61.3 * 1024**2), "61.3 MiB"), (1024**2, "1.0 MiB"), (512, "0.5 KiB")],
)
def test_people_get_one_decimal(size_bytes, text):
    assert human_size(size_bytes) == text
