from kraftd.web.sse import event, json_event, retry


def test_an_event_has_its_data_on_one_line():
    assert event("snapshot", {"html": "<p>\n</p>"}) == b'event: snapshot\ndata: {"html":"<p>\\n</p>"}\n\n'


def test_an_event_may_have_an_identifier():
    assert json_event("snapshot", "{}", "a:1") == b"id: a:1\nevent: snapshot\ndata: {}\n\n"


def test_a_page_is_told_when_to_connect_again():
    assert retry(2000) == b"retry: 2000\n\n"
