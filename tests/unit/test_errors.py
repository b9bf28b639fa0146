from kraftd.errors import unknown_name


def test_the_nearest_name_is_offered_first():
    error = unknown_name("cannot find the group test-grup", "test-grup", ["other", "test-group"])

    assert (str(error), error.exit_code) == ("cannot find the group test-grup", 4)
    assert error.hint == "Did you mean test-group? Known names: other, test-group."
    assert error.details == {"unknown": ["test-grup"], "known": ["other", "test-group"]}


def test_a_name_like_no_other_gets_those_that_there_are():
    assert unknown_name("cannot", "x", ["orders"]).hint == "Known names: orders."
    assert unknown_name("cannot", "x", []).hint == "Known names: none."


def test_very_many_names_are_counted():
    assert unknown_name("cannot", "x", [f"name-{number}" for number in range(30)]).hint.endswith("name-19 and 10 more.")
