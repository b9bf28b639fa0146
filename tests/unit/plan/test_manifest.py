import json
from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import IdentityMismatchError
from kraftd.plan.manifest import check_against, differences, manifest_of, parse_manifest
from tests.plans import plan_of

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
PATH = Path("/srv/kraftd/local/manifest.json")


def brokers(number, **options):
    return plan_of(f"[cluster]\nbrokers = {number}", **options)


def test_a_manifest_reads_back_as_it_was_written():
    manifest = manifest_of(plan_of(), CLUSTER_ID)

    assert parse_manifest(manifest.to_json(), PATH) == manifest


def test_a_manifest_holds_what_the_first_format_fixes():
    raw = json.loads(manifest_of(plan_of(), CLUSTER_ID).to_json())

    assert (raw["schema_version"], raw["cluster_id"], raw["kafka_version"]) == (1, CLUSTER_ID, "3.9.2")
    assert [voter["node_id"] for voter in raw["voters"]] == [1, 2, 101]
    assert raw["nodes"][0] == {"name": "broker-1", "node_id": 1, "ports": [9092, 10092]}


def test_an_unchanged_plan_does_not_differ():
    plan = plan_of()

    assert differences(plan, manifest_of(plan, CLUSTER_ID)) == []
    check_against(plan, manifest_of(plan, CLUSTER_ID), "kraftd.toml")


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 3), (3, 5)])
def test_adding_brokers_does_not_differ(before, after):
    manifest = manifest_of(brokers(before), CLUSTER_ID)

    assert differences(brokers(after, manifest=manifest), manifest) == []


def test_the_ports_of_http_may_change():
    manifest = manifest_of(plan_of(), CLUSTER_ID)

    assert differences(plan_of("[daemon]\nport = 7000"), manifest) == []


def test_taking_a_voter_away_differs_in_voters_and_node():
    manifest = manifest_of(brokers(3), CLUSTER_ID)

    assert differences(brokers(2, manifest=manifest), manifest) == [
        "voters: planned 1@127.0.0.1:10092,2@127.0.0.1:10093, "
        "formatted with 1@127.0.0.1:10092,2@127.0.0.1:10093,3@127.0.0.1:10094",
        "broker-3: not in the plan, but formatted as node 3, with data",
    ]


def test_taking_a_broker_away_that_is_no_voter_differs_too():
    manifest = manifest_of(brokers(5), CLUSTER_ID)

    assert differences(brokers(4, manifest=manifest), manifest) == [
        "broker-5: not in the plan, but formatted as node 5, with data"
    ]


def test_a_broker_that_a_scale_removed_differs_where_it_is_planned_again():
    left = replace(manifest_of(brokers(4), CLUSTER_ID), removed=("broker-5",))
    planned = brokers(5, manifest=left)

    assert differences(brokers(4, manifest=left), left) == []
    assert differences(planned, left) == ["broker-5: planned, but 'kraftd scale' has removed it from the cluster"]
    assert parse_manifest(left.to_json(), PATH) == left
    assert manifest_of(planned, CLUSTER_ID, left.removed).removed == ()


def test_other_ports_differ_for_each_node():
    found = differences(plan_of("[cluster]\nport_offset = 5"), manifest_of(plan_of(), CLUSTER_ID))

    assert found[0].startswith("voters: planned 1@127.0.0.1:10097")
    assert found[1:] == [
        "broker-1: planned ports 9097, 10097, formatted with 9092, 10092",
        "broker-2: planned ports 9098, 10098, formatted with 9093, 10093",
        "controller-101: planned ports 10197, formatted with 10192",
    ]


def test_another_kafka_version_differs():
    manifest = manifest_of(plan_of(), CLUSTER_ID)

    assert differences(plan_of(kafka_version="3.9.1"), manifest) == [
        "Kafka version: planned 3.9.1, the data is of 3.9.2"
    ]


@pytest.mark.parametrize(
    ("planned", "there", "before", "advice"),
    [
        ("4.3.1", "3.9.2", (), "kraftd upgrade --to 4.3.1"),
        ("3.9.2", "4.3.1", ("3.9.2",), "kraftd upgrade --to 3.9.2"),
        ("3.9.2", "4.3.1", (), "may not read"),
    ],
    ids=["newer", "older", "finalized"],
)
def test_another_version_is_refused_with_the_way_to_it(planned, there, before, advice):
    manifest = replace(manifest_of(plan_of(kafka_version=there), CLUSTER_ID), upgraded_from=before)

    with pytest.raises(IdentityMismatchError) as caught:
        check_against(plan_of(kafka_version=planned), manifest, "kraftd.toml")

    assert caught.value.hint.startswith(f'Set cluster.kafka_version = "{there[:3]}"')
    assert advice in caught.value.hint
    assert "cluster.brokers" not in caught.value.hint


def test_a_manifest_knows_the_way_back_until_it_is_gone_or_barred():
    upgraded = manifest_of(plan_of(kafka_version="3.9.1"), CLUSTER_ID).upgraded("3.9.2").upgraded("4.3.1")

    assert (upgraded.kafka_version, upgraded.upgraded_from) == ("4.3.1", ("3.9.1", "3.9.2"))
    assert parse_manifest(upgraded.to_json(), PATH) == upgraded
    back = upgraded.upgraded("3.9.2")
    assert (back.kafka_version, back.upgraded_from) == ("3.9.2", ("3.9.1",))


@pytest.mark.parametrize(
    ("planned", "formatted", "advice"),
    [(0, 300, "300 higher"), (300, 0, "300 lower"), (300, 100, "200 lower")],
)
def test_ports_that_are_shifted_alike_are_told_by_how_much(planned, formatted, advice):
    there = manifest_of(plan_of(f"[cluster]\nport_offset = {formatted}"), CLUSTER_ID)

    with pytest.raises(IdentityMismatchError) as caught:
        check_against(plan_of(f"[cluster]\nport_offset = {planned}"), there, "kraftd.toml")

    assert advice in caught.value.hint
    assert "--cluster NAME" in caught.value.hint


def test_a_plan_that_contradicts_the_manifest_is_refused_with_values_and_places():
    manifest = replace(manifest_of(plan_of(), CLUSTER_ID), kafka_version="3.9.1")

    with pytest.raises(IdentityMismatchError) as caught:
        check_against(plan_of(), manifest, "/home/ada/kraftd.toml")

    text = str(caught.value)
    assert caught.value.exit_code == 6
    assert text.startswith("cannot use /home/ada/kraftd.toml with the cluster in /srv/kraftd/local: ")
    assert "/srv/kraftd/local/manifest.json" in text
    assert "planned 3.9.2, the data is of 3.9.1" in text
    assert "cluster.kafka_version" in caught.value.hint
    assert caught.value.details["differences"] == ["Kafka version: planned 3.9.2, the data is of 3.9.1"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace(CLUSTER_ID, "short"),
        lambda text: text.replace(f'"{CLUSTER_ID}"', "5"),
        lambda text: text.replace("cluster_id", "id"),
        lambda text: text.replace("voters", "boaters"),
        lambda text: text.replace('"node_id": 1,', '"node_id": "one",'),
        lambda text: text.replace('"schema_version": 1', '"schema_version": null'),
    ],
)
def test_a_damaged_manifest_is_refused_by_its_path(damage):
    with pytest.raises(IdentityMismatchError, match=f"cannot read the manifest {PATH}: it is damaged") as caught:
        parse_manifest(damage(manifest_of(plan_of(), CLUSTER_ID).to_json()), PATH)

    assert (caught.value.exit_code, caught.value.code) == (6, "manifest_damaged")
    assert "meta.properties" in caught.value.hint


def test_what_is_missing_in_a_damaged_manifest_is_named():
    with pytest.raises(IdentityMismatchError, match=r"it is damaged \('schema_version' is missing\)"):
        parse_manifest("{}", PATH)


def test_a_manifest_of_a_newer_kraftd_is_refused_as_such():
    text = manifest_of(plan_of(), CLUSTER_ID).to_json().replace('"schema_version": 1', '"schema_version": 2')

    with pytest.raises(IdentityMismatchError, match="schema version 2, this kraftd knows 1") as caught:
        parse_manifest(text, PATH)

    assert caught.value.code == "manifest_too_new"
