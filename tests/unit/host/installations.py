"""A Java and a Kafka as they are found on a disk."""


def java_home(path, *, release: str | None = None, script: str = "exit 9"):
    executable = path / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    if release is not None:
        (path / "release").write_text(f'IMPLEMENTOR="Some Vendor"\nJAVA_VERSION="{release}"\nOS_NAME="Linux"\n')
    return path


def release_at(path, *jars: str):
    libs = path / "libs"
    libs.mkdir(parents=True)
    for jar in jars:
        (libs / jar).touch()
    return path
