from kraftd_apps.common.api import code_spans


def test_text_between_backticks_becomes_code_and_everything_is_escaped():
    assert code_spans("use `a<b>` & c") == "use <code>a&lt;b&gt;</code> &amp; c"
    assert code_spans("plain") == "plain"
