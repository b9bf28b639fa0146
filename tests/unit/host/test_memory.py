import psutil

from kraftd.host.memory import total_bytes


def test_without_a_limit_it_is_the_machines_memory(tmp_path):
    assert total_bytes((tmp_path / "absent",)) == psutil.virtual_memory().total


def test_the_lowest_limit_counts(tmp_path):
    (tmp_path / "low").write_text("4096\n")
    (tmp_path / "lower").write_text("1024\n")

    assert total_bytes((tmp_path / "low", tmp_path / "lower")) == 1024


def test_a_limit_above_the_machine_and_no_limit_at_all_change_nothing(tmp_path):
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "huge").write_text("9223372036854771712\n")

    assert total_bytes((tmp_path / "max", tmp_path / "huge")) == psutil.virtual_memory().total
