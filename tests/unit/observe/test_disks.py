from kraftd.health.programs.disks import DiskSpace
from kraftd.observe.disks import DiskWatch, disk_spaces
from tests.clocks import ManualClock
from tests.plans import plan_of

GIB = 1024**3


def test_directories_on_one_file_system_are_told_once(tmp_path):
    (space,) = disk_spaces(plan_of(state_dir=tmp_path / "s"))

    assert space.path == str(tmp_path / "s")
    assert 0 < space.free_bytes < space.total_bytes


def test_a_watch_tells_the_time_that_is_left():
    clock, plan = ManualClock(), plan_of()
    free = [10 * GIB]
    watch = DiskWatch(plan, clock, lambda plan: (DiskSpace("/srv", free[0], 20 * GIB),))

    for _ in range(13):
        (view,) = watch.views()
        clock.advance(5.0)
        free[0] -= GIB // 20

    assert view.full_in_s is not None
    assert view.least_free_bytes == plan.min_free_disk_bytes
