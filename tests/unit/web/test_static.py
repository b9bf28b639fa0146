import pytest

from kraftd.web.static import StaticFiles

PACKAGES = ("kraftd.serve",)


def test_an_address_holds_the_hash_of_its_file_and_may_be_kept_for_ever():
    static = StaticFiles(*PACKAGES)

    answer = static.hashed[static.address("status.css")]

    assert answer.content_type == b"text/css; charset=utf-8"
    assert answer.headers == ((b"cache-control", b"public, max-age=31536000, immutable"),)


def test_a_plain_name_is_served_without_being_kept():
    assert StaticFiles(*PACKAGES).plain["/static/live.js"].headers == ()


def test_every_page_has_the_shared_files():
    static = StaticFiles()

    assert set(static.plain) == {"/static/icon.svg", "/static/colours.css"}
    assert static.hashed[static.address("icon.svg")].content_type == b"image/svg+xml"


def test_a_file_that_is_not_there_has_no_address():
    with pytest.raises(KeyError):
        StaticFiles().address("other.css")
