import json

from kraftd.web.asgi import PROBLEM_CONTENT_TYPE, event, json_event, problem_answer, retry


def test_an_event_has_its_data_on_one_line():
    assert event("snapshot", {"html": "<p>\n</p>"}) == b'event: snapshot\ndata: {"html":"<p>\\n</p>"}\n\n'


def test_an_event_may_have_an_identifier():
    assert json_event("snapshot", "{}", "a:1") == b"id: a:1\nevent: snapshot\ndata: {}\n\n"


def test_a_page_is_told_when_to_connect_again():
    assert retry(2000) == b"retry: 2000\n\n"


def test_a_problem_has_the_standard_members_before_its_own():
    answer = problem_answer(404, "There is nothing here", "no such file", type_uri="/docs#x", code="not_found")

    assert (answer.status, answer.content_type.decode()) == (404, PROBLEM_CONTENT_TYPE)
    assert list(json.loads(answer.body).items()) == [
        ("type", "/docs#x"),
        ("title", "There is nothing here"),
        ("status", 404),
        ("detail", "no such file"),
        ("code", "not_found"),
    ]


def test_a_missing_token_is_asked_for_in_both_ways():
    answer = problem_answer(401, "A token is needed", "send it")

    assert [value.split(b" ")[0] for name, value in answer.headers if name == b"www-authenticate"] == [
        b"Bearer",
        b"Basic",
    ]


def test_a_detail_that_is_no_utf_8_can_be_sent():
    assert json.loads(problem_answer(400, "x", "\ud800").body)["detail"] == "\ud800"
