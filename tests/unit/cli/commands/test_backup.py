from types import SimpleNamespace

from kraftd.cli.commands.backup import origins_of


def test_the_cluster_of_a_backup_is_told_by_its_id_where_the_target_has_several():
    first, second, other = (
        SimpleNamespace(id=number, cluster="local", cluster_id=cluster_id)
        for number, cluster_id in (("1", "A"), ("2", "A"), ("3", "B"))
    )

    assert origins_of([first, second]) == {"1": "local", "2": "local"}
    assert origins_of([first, other]) == {"1": "local (A)", "3": "local (B)"}
