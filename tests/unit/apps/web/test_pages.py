from kraftd_apps.web.pages import marked


def test_text_between_backticks_becomes_code_and_everything_is_escaped():
    assert marked("use `a<b>` & c") == "use <code>a&lt;b&gt;</code> &amp; c"
    assert marked("plain") == "plain"
