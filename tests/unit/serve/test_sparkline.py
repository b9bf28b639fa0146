from kraftd.serve.sparkline import sparkline


def line(*values, begin_s=0.0, end_s=100.0):
    points = [(begin_s + number * 50.0, value) for number, value in enumerate(values)]
    return sparkline(points, begin_s=begin_s, end_s=end_s)


def test_a_line_goes_from_left_to_right_between_nothing_and_the_highest():
    drawn = line(0.0, 5.0, 10.0)

    assert drawn.line == "M0.0 45.0L0.0 45.0L150.0 24.0L300.0 3.0"
    assert (drawn.highest, drawn.newest) == (10.0, 10.0)


def test_what_is_not_known_is_a_gap():
    drawn = line(5.0, None, 5.0)

    assert drawn.line == "M0.0 3.0L0.0 3.0M300.0 3.0L300.0 3.0"


def test_a_newest_value_that_is_not_known_is_not_the_one_before():
    assert line(5.0, 5.0, None).newest is None


def test_nothing_but_zeros_is_a_line_at_the_bottom():
    assert line(0, 0).line == "M0.0 45.0L0.0 45.0L150.0 45.0"


def test_without_points_there_is_no_line():
    assert (line().line, line().highest, line().newest) == ("", None, None)


def test_points_outside_the_time_shown_do_not_count():
    assert sparkline([(-1.0, 99.0), (50.0, 2.0), (101.0, 99.0)], begin_s=0.0, end_s=100.0).highest == 2.0
