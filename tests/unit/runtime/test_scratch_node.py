from kraftd.runtime.scratch_node import free_ports, random_id, scratch_directory, scratch_plan, write_scratch


def test_a_scratch_node_keeps_all_of_its_files_in_its_directory(tmp_path):
    plan = scratch_plan(tmp_path, "3.9.2", (), (11, 12, 13))

    write_scratch(plan, None)

    properties = (tmp_path / "config" / "broker-1" / "server.properties").read_text()
    assert f"log.dirs={tmp_path}/data/broker-1\n" in properties
    assert "listeners=PLAINTEXT://127.0.0.1:11,CONTROLLER://127.0.0.1:12\n" in properties
    assert "controller.quorum.voters=1@127.0.0.1:12\n" in properties
    assert (tmp_path / "data" / "broker-1" / "meta.properties").read_text().startswith("version=1\ncluster.id=")


def test_a_scratch_node_of_kafka_4_begins_with_the_checkpoint(tmp_path):
    checkpoint = tmp_path / "kafka.checkpoint"
    checkpoint.write_bytes(b"features")

    write_scratch(scratch_plan(tmp_path, "4.3.1", ()), checkpoint)

    assert (tmp_path / "data" / "broker-1" / "bootstrap.checkpoint").read_bytes() == b"features"


def test_a_scratch_directory_is_gone_afterwards_with_what_others_left(tmp_path):
    leftover = tmp_path / "scratch-abandoned"
    leftover.mkdir()

    with scratch_directory(tmp_path) as directory:
        assert directory.parent == tmp_path
        assert not leftover.exists()

    assert list(tmp_path.iterdir()) == []


def test_ports_and_ids_are_new_each_time():
    assert len(set(free_ports())) == 3
    assert len({random_id() for _ in range(10)}) == 10
    assert len(random_id()) == 22
