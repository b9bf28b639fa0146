import itertools
import re
import tomllib

import pytest

from kraftd.plan.loading import configure, parse_toml, schema
from kraftd.plan.settings import NODES, SETTINGS
from kraftd.render.sample import PROFILES, SAMPLE, profile_of, sample_of, toml_value
from tests.plans import plan_of

UNCOMMENTED = re.sub(r"^#(?! )", "", SAMPLE, flags=re.MULTILINE)


def test_as_it_is_the_sample_sets_nothing():
    configuration = configure([parse_toml(SAMPLE, "sample")])

    assert configuration.settings == SETTINGS()
    assert {origin for _, _, origin in configuration.rows()} == {"default"}


def test_uncommented_the_sample_is_exactly_the_defaults():
    assert configure([parse_toml(UNCOMMENTED, "sample")]).settings == SETTINGS()


def test_the_sample_has_every_setting():
    values = tomllib.loads(UNCOMMENTED)
    written = {(section, key) for section, table in values.items() if section != "topic" for key in table}
    written |= {("topic", key) for key in values["topic"][0]}

    missing = {path for path in schema() if len(path) == 2 and NODES not in path} - written

    # Their default is what follows from the cluster, which TOML cannot write; remarks name them.
    assert missing == {("topic", "replication_factor"), ("topic", "assignment")}
    assert all(key in SAMPLE for _, key in missing)


def test_a_remark_stands_above_every_setting():
    lines = SAMPLE.splitlines()

    bare = [line for above, line in itertools.pairwise(lines) if re.match(r"#\w", line) and above[:2] != "# "]
    assert bare == []


def values_of(text):
    return {key: value for key, value, _ in configure([parse_toml(text, "sample")]).rows()}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda each: each.name)
def test_the_sample_of_a_profile_sets_its_values_and_nothing_else(profile):
    configuration = configure([parse_toml(sample_of(profile), "sample")])

    changed = {key: value for key, value, origin in configuration.rows() if origin != "default"}
    assert changed == {each.key: each.value for each in profile.settings}
    assert len(plan_of(sample_of(profile)).brokers) == changed["cluster.brokers"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda each: each.name)
def test_every_value_of_a_profile_has_its_reason_above(profile):
    lines = sample_of(profile).splitlines()

    reasons = [above for above, line in itertools.pairwise(lines) if re.match(r'["\w].* = ', line)]
    assert len(reasons) == len(profile.settings)
    assert all(above.startswith("# ") for above in reasons)
    assert max(map(len, lines)) <= 120


def test_every_value_is_one_that_toml_reads_back():
    values = [value for _, value, _ in configure([]).rows()]
    odd = {"": 'quo"te', "log.retention.hours": 1, "nested": ({"café\n": True}, []), "open": None}

    for value in (*values, odd):
        read = tomllib.loads(f"value = {toml_value(value)}")["value"]
        assert read == plain(value)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def test_a_configuration_is_known_as_the_profile_whose_values_it_has():
    assert [profile_of(values_of(sample_of(each))) for each in PROFILES] == [*PROFILES]
    assert profile_of(values_of(SAMPLE)) is None
    assert profile_of(values_of(sample_of(PROFILES[0])) | {"cluster.heap": "300m"}) is None
