import pytest

from kraftd.operate.questions import unread


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ({}, "cannot tell the topics: they were not read yet"),
        ({"topics": "no broker answers", "lag": "no broker answers"}, "cannot tell the topics: no broker answers"),
        ({"topics": "it timed out", "lag": "no leader"}, "cannot tell the topics: it timed out; no leader"),
    ],
)
def test_each_reason_is_named_once(failures, message):
    error = unread("the topics", {"failures": failures})

    assert (str(error), error.exit_code) == (message, 7)
