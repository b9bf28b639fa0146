from kraftd.host.jvm import jmx_password, write_management_files


def test_only_the_owner_reads_what_lets_a_client_in(tmp_path):
    write_management_files(tmp_path / "a b")

    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "a b").iterdir()} == dict.fromkeys(
        ("jmxremote.access", "jmxremote.password", "management.properties"), 0o600
    )


def test_a_password_is_made_once_and_is_another_one_elsewhere(tmp_path):
    for directory in (tmp_path / "a", tmp_path / "b", tmp_path / "a"):
        before = jmx_password(directory)
        write_management_files(directory)
        assert before in (None, jmx_password(directory))

    assert len(bytes.fromhex(jmx_password(tmp_path / "a"))) == 16
    assert jmx_password(tmp_path / "a") != jmx_password(tmp_path / "b")


def test_a_damaged_password_file_is_replaced(tmp_path):
    (tmp_path / "jmxremote.password").write_text("kraftd\n")
    assert jmx_password(tmp_path) is None

    write_management_files(tmp_path)

    assert jmx_password(tmp_path)


def test_the_agent_asks_for_the_password_and_keeps_it_readable(tmp_path):
    write_management_files(tmp_path)

    lines = (tmp_path / "management.properties").read_text().splitlines()
    options = {key.removeprefix("com.sun.management.jmxremote."): value for key, value in (s.split("=") for s in lines)}
    assert (options["authenticate"], options["password.toHashes"]) == ("true", "false")
    assert options["password.file"] == f"{tmp_path}/jmxremote.password"
