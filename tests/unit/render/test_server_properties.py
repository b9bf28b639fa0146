import re
from dataclasses import replace

import pytest

from kraftd.plan.checks import OWNED_PROPERTIES
from kraftd.plan.manifest import manifest_of
from kraftd.plan.plan import Access
from kraftd.render.server_properties import client_properties, server_properties
from tests.plans import plan_of

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"


def read(text):
    """Read a text as java.util.Properties does, as far as a line per property goes."""
    pairs = (line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {key: _unescaped(value.lstrip(" \t\f")) for key, value in pairs}


def _unescaped(value):
    def one(match):
        return chr(int(match[1], 16)) if match[1] else {"t": "\t", "n": "\n", "r": "\r"}.get(match[2], match[2])

    units = re.sub(r"\\(?:u([0-9A-F]{4})|(.))", one, value)
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


def properties_of(name, toml="", **options):
    plan = plan_of(toml, **options)
    return read(server_properties(plan, next(node for node in plan.nodes if node.name == name)))


def test_a_voting_broker_says_who_it_is_and_where_it_listens():
    properties = properties_of("broker-2")

    assert properties["node.id"] == "2"
    assert properties["process.roles"] == "broker,controller"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9093,CONTROLLER://127.0.0.1:10093"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9093"
    assert properties["inter.broker.listener.name"] == "PLAINTEXT"
    assert properties["controller.listener.names"] == "CONTROLLER"
    assert properties["listener.security.protocol.map"] == "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
    assert properties["log.dirs"] == "/srv/kraftd/local/data/broker-2"


def test_a_record_of_the_longest_value_fits_with_its_key_and_headers():
    longest_value, longest_key, frame = 1024 * 1024, 8192, 1024
    assert int(properties_of("broker-1")["message.max.bytes"]) > longest_value + longest_key + frame


def test_a_tie_breaker_has_no_broker_in_it():
    properties = properties_of("controller-101")

    assert properties["process.roles"] == "controller"
    assert properties["listeners"] == "CONTROLLER://127.0.0.1:10192"
    assert "advertised.listeners" not in properties
    assert "inter.broker.listener.name" not in properties
    assert "log.retention.hours" not in properties


KRAFTDS_OWN = (
    ("default.replication.factor", "2"),
    ("unclean.leader.election.enable", "false"),
)


def test_whichever_node_is_the_active_controller_decides_by_the_same_values():
    toml = """[broker.config]
"broker.session.timeout.ms" = 9000
"controller.quorum.request.timeout.ms" = 2000
"create.topic.policy.class.name" = "org.example.Policy"
"leader.imbalance.check.interval.seconds" = 60
"min.insync.replicas" = 2
"num.partitions" = 7
"""
    stated = plan_of(toml).brokers[0].config
    assert len(stated) == toml.count("=")

    for key, value in (*stated, *KRAFTDS_OWN):
        assert {properties_of(name, toml)[key] for name in ("broker-1", "controller-101")} == {value}
    assert properties_of("broker-1")["num.partitions"] == properties_of("controller-101")["num.partitions"]


@pytest.mark.parametrize(("is_enabled", "retained"), [("true", str(1024**3)), ("false", None)])
def test_the_tie_breaker_checks_the_retention_of_remote_storage_only(is_enabled, retained):
    toml = f'[broker.config]\n"remote.log.storage.system.enable" = {is_enabled}'

    assert properties_of("controller-101", toml).get("log.retention.bytes") == retained
    assert properties_of("broker-1", toml)["log.retention.bytes"] == str(1024**3)


def test_a_broker_only_knows_the_voters_and_does_not_listen_for_them():
    properties = properties_of("broker-4", "[cluster]\nbrokers = 4")

    assert properties["process.roles"] == "broker"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9095"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:10092,2@127.0.0.1:10093,3@127.0.0.1:10094"


def test_every_node_has_the_same_voters_before_and_after_growing():
    manifest = manifest_of(plan_of(), CLUSTER_ID)
    toml = "[cluster]\nbrokers = 3"

    before = properties_of("broker-1")["controller.quorum.voters"]

    assert before == "1@127.0.0.1:10092,2@127.0.0.1:10093,101@127.0.0.1:10192"
    assert properties_of("broker-3", toml, manifest=manifest)["controller.quorum.voters"] == before


@pytest.mark.parametrize(
    ("brokers", "replicas", "min_isr"), [(1, "1", "1"), (2, "2", "1"), (3, "3", "2"), (5, "3", "2")]
)
def test_replicas_and_min_isr_follow_from_the_number_of_brokers(brokers, replicas, min_isr):
    properties = properties_of("broker-1", f"[cluster]\nbrokers = {brokers}")

    for key in ("default", "offsets.topic", "transaction.state.log"):
        assert properties[f"{key}.replication.factor"] == replicas
    assert (properties["min.insync.replicas"], properties["transaction.state.log.min.isr"]) == (min_isr, min_isr)


@pytest.mark.parametrize(("first", "then"), [(1, 2), (1, 3), (2, 3), (2, 5), (3, 5)])
def test_the_min_isr_of_topics_that_exist_stays_when_brokers_are_added(first, then):
    manifest = manifest_of(plan_of(f"[cluster]\nbrokers = {first}"), CLUSTER_ID)

    before = properties_of("broker-1", f"[cluster]\nbrokers = {first}")
    after = properties_of("broker-1", f"[cluster]\nbrokers = {then}", manifest=manifest)

    assert after["min.insync.replicas"] == before["min.insync.replicas"]


def test_what_a_grown_cluster_creates_has_the_replicas_and_min_isr_of_its_size():
    manifest = manifest_of(plan_of(), CLUSTER_ID)

    grown = properties_of("broker-1", "[cluster]\nbrokers = 3", manifest=manifest)

    assert (grown["default.replication.factor"], grown["transaction.state.log.replication.factor"]) == ("3", "3")
    assert grown["transaction.state.log.min.isr"] == "2"


def test_kafka_4_is_told_the_same_of_share_groups_and_kafka_3_is_not():
    assert properties_of("broker-1", kafka_version="4.3.1")["share.coordinator.state.topic.replication.factor"] == "2"
    assert properties_of("broker-1", kafka_version="4.3.1")["share.coordinator.state.topic.min.isr"] == "1"
    assert not [key for key in properties_of("broker-1") if key.startswith("share.")]


def test_the_brokers_settings_are_those_of_the_design():
    expected = {
        "auto.create.topics.enable": "false",
        "broker.heartbeat.interval.ms": "200",
        "broker.session.timeout.ms": "5000",
        "compression.type": "gzip",
        "group.initial.rebalance.delay.ms": "0",
        "log.retention.bytes": str(1024**3),
        "log.retention.check.interval.ms": "300000",
        "log.retention.hours": "168",
        "log.segment.bytes": str(1024**3),
        "num.io.threads": "4",
        "num.network.threads": "2",
        "num.partitions": "4",
        "offsets.topic.num.partitions": "4",
        "replica.fetch.backoff.ms": "100",
        "socket.receive.buffer.bytes": "102400",
        "socket.request.max.bytes": "104857600",
        "socket.send.buffer.bytes": "102400",
        "transaction.state.log.num.partitions": "4",
        "unclean.leader.election.enable": "false",
    }

    assert expected.items() <= properties_of("broker-1").items()


def test_the_first_voter_stands_for_election_before_the_others_do():
    timeouts = [properties_of(name)["controller.quorum.election.timeout.ms"] for name in ("broker-1", "broker-2")]

    assert timeouts == ["200", "500"]


def test_the_tie_breaker_gives_up_a_silent_leader_first_and_no_two_voters_at_once():
    names = ("controller-101", "broker-1", "broker-2")

    assert [properties_of(name)["controller.quorum.fetch.timeout.ms"] for name in names] == ["1000", "1250", "1500"]


def test_the_users_properties_win_over_the_defaults_of_brokers():
    toml = (
        "[broker.config]\nlog.retention.hours = 24\nmessage.max.bytes = 5\nmin.insync.replicas = 2\nnum.io.threads = 9"
    )

    broker, controller = properties_of("broker-1", toml), properties_of("controller-101", toml)

    assert (broker["log.retention.hours"], broker["message.max.bytes"], broker["min.insync.replicas"]) == (
        "24",
        "5",
        "2",
    )
    assert (controller["num.io.threads"], controller.get("message.max.bytes")) == ("2", None)


def test_what_a_user_cannot_override_is_refused_by_the_plan():
    plan = plan_of()
    wishes = tuple((key, "wish") for key in properties_of("broker-1"))

    found = read(server_properties(plan, replace(plan.nodes[0], config=wishes)))

    kept = {key for key, value in found.items() if value != "wish"}
    assert {"listeners", "log.dirs", "node.id", "controller.quorum.voters"} < kept <= set(OWNED_PROPERTIES)


@pytest.mark.parametrize(("heap", "buffer"), [("512m", "16777216"), ("513m", "33554432")])
def test_the_log_cleaner_leaves_a_small_heap_some_room(heap, buffer):
    properties = properties_of("broker-1", f'[cluster]\nheap = "{heap}"')

    assert properties.get("log.cleaner.dedupe.buffer.size") == buffer


@pytest.mark.parametrize(
    "value",
    [
        *("plain", "a b", " led", "tail ", "a=b:c#d!e", "back\\slash", "\\u0041", "100%", '"', "'"),
        *("tab\tline\nreturn\rfeed\f", "é漢", "😀 \U0010ffff", "\x7f\x00"),
    ],
)
def test_any_value_reads_back_as_java_reads_properties(value):
    toml_value = "".join(f"\\U{ord(char):08X}" for char in value)

    assert properties_of("broker-1", f'[broker.config]\nx = "{toml_value}"')["x"] == value


def test_a_value_outside_the_basic_plane_becomes_a_surrogate_pair():
    plan = plan_of('[broker.config]\nx = "😀"')

    assert "\nx=\\uD83D\\uDE00\n" in server_properties(plan, plan.nodes[0])


def test_the_text_is_ascii_and_sorted_and_names_its_node():
    plan = plan_of('[broker.config]\nx = "é漢"\na = 1')

    text = server_properties(plan, plan.nodes[0])

    keys = [line.split("=")[0] for line in text.splitlines()[1:]]
    assert text.isascii()
    assert keys == sorted(keys)
    assert text.startswith("# broker-1 of the kraftd cluster local\n")
    assert text.endswith("\n")


def test_the_same_plan_renders_to_the_same_bytes():
    assert server_properties(plan_of(), plan_of().nodes[0]) == server_properties(plan_of(), plan_of().nodes[0])


def test_a_client_of_a_plain_cluster_needs_no_properties():
    assert client_properties(plan_of().access) == ""


def test_a_clients_properties_are_written_as_java_reads_them():
    assert client_properties(Access(("a:1",), (("security.protocol", "SSL"),))) == "security.protocol=SSL\n"
