import itertools
import re
import tomllib

from kraftd.plan.loading import configure, parse_toml, schema
from kraftd.plan.settings import NODES, SETTINGS
from kraftd.render.sample import SAMPLE

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
