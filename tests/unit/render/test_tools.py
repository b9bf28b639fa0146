import configparser
from pathlib import Path

import pytest
import yaml

from kraftd.errors import ConfigurationError
from kraftd.render.prometheus import standalone, token_files
from kraftd.render.tools import MonitoringFiles, tool_command, tool_files
from tests.plans import STATE_DIR, TOOLS, plan_of

RULES = (Path("/opt/kraftd/monitoring/rules/kafka.yml"), Path('/opt/"k"/rules.yml'))
ROOT = Path(__file__).resolve().parents[3]
CONFIG = STATE_DIR / "config"


def files(name, toml=TOOLS, rules=(), dashboards=None, **options):
    plan = plan_of(toml, **options)
    return tool_files(plan, plan.tool(name), MonitoringFiles(rules, dashboards))


def grafana_ini(text=None):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text or files("grafana")[CONFIG / "grafana" / "grafana.ini"])
    return parser


def literal(value):
    """Return what Grafana reads of a value in backticks, up to the last one; others end at the first # or ;."""
    assert len(value) >= 2
    assert value[0] == value[-1] == "`"
    return Path(value[1:-1])


def test_prometheus_keeps_two_weeks_in_the_state_directory_and_listens_on_loopback():
    plan = plan_of(TOOLS)

    assert tool_command(plan, plan.tool("prometheus")) == (
        "/usr/bin/prometheus",
        "--config.file=/srv/kraftd/local/config/prometheus/prometheus.yml",
        "--storage.tsdb.path=/srv/kraftd/local/data/prometheus",
        "--storage.tsdb.retention.time=15d",
        "--storage.tsdb.retention.size=1GB",
        "--web.listen-address=127.0.0.1:9090",
        "--web.cors.origin=http://127.0.0.1:9090",
        "--log.level=warn",
    )


def discovered(url, interval_s, *relabel_configs, **more):
    """Return a job whose targets the daemon tells."""
    return {
        "http_sd_configs": [{"url": url, "refresh_interval": f"{interval_s}s"}],
        "relabel_configs": list(relabel_configs),
        **more,
    }


def only(action, label, regex):
    return {"source_labels": [label], "regex": regex, "action": action}


def jobs_of(text):
    return {job.pop("job_name"): job for job in yaml.safe_load(text)["scrape_configs"]}


def test_prometheus_asks_the_daemon_what_to_scrape_and_scrapes_agents_seldom():
    url = "http://127.0.0.1:8100/sd/prometheus"

    (text,) = files("prometheus", f"[cluster]\nport_offset = 100\n{TOOLS}").values()

    assert yaml.safe_load(text)["global"] == {"scrape_interval": "5s", "evaluation_interval": "5s"}
    labels = {"program": "prometheus", "kafka_cluster": "local"}
    assert jobs_of(text) == {
        "kraftd": discovered(url, 5, only("drop", "job", "kafka")),
        "kafka": discovered(url, 5, only("keep", "job", "kafka"), scrape_interval="15s"),
        "prometheus": {"static_configs": [{"targets": ["127.0.0.1:9190"], "labels": labels}]},
    }


def test_prometheus_shows_each_app_its_own_token_from_a_file():
    plan = plan_of(
        f'{TOOLS}[producer]\nenv = {{ APP_API_TOKEN = "hunter2" }}\n'
        '[consumer]\ninstances = 2\nenv = { APP_API_TOKEN = " hunter3 " }'
    )

    (text,) = tool_files(plan, plan.tool("prometheus"), MonitoringFiles()).values()

    assert token_files(plan) == {
        CONFIG / "producer" / "producer.token": "hunter2",
        CONFIG / "consumer" / "consumer.token": "hunter3",
        CONFIG / "consumer-2" / "consumer-2.token": "hunter3",
    }
    assert "hunter" not in text
    jobs = jobs_of(text)
    assert only("drop", "program", "producer|consumer|consumer-2") in jobs["kraftd"]["relabel_configs"]
    assert list(jobs) == ["kraftd", "kafka", "producer", "consumer", "consumer-2", "prometheus"]
    assert jobs["producer"] == discovered(
        "http://127.0.0.1:8000/sd/prometheus",
        5,
        only("keep", "program", "producer"),
        authorization={"credentials_file": f"{CONFIG}/producer/producer.token"},
    )


def test_a_prometheus_of_ones_own_is_configured_as_the_file_that_ships():
    rules = ROOT / "monitoring" / "rules"
    shipped = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text(encoding="utf-8"))

    rendered = yaml.safe_load(standalone(plan_of(), sorted(rules.glob("*.yml"))))

    assert shipped.pop("rule_files") == ["rules/*.yml"]
    assert {Path(path).parent for path in rendered.pop("rule_files")} == {rules}
    assert rendered == shipped


def test_prometheus_sends_its_alerts_to_the_alertmanager_of_the_cluster():
    (text,) = files("prometheus", f"[cluster]\nport_offset = 100\n{TOOLS}[alertmanager]\nenabled = true").values()

    (alertmanager,) = yaml.safe_load(text)["alerting"]["alertmanagers"]
    assert alertmanager == {"static_configs": [{"targets": ["127.0.0.1:9293"]}]}


def test_what_prometheus_keeps_is_bounded_by_the_users_time_and_size():
    plan = plan_of('[prometheus]\nenabled = true\nretention = "2d"\nretention_size = "300MB"')

    command = tool_command(plan, plan.tool("prometheus"))

    assert {"--storage.tsdb.retention.time=2d", "--storage.tsdb.retention.size=300MB"} <= set(command)


def test_alertmanager_listens_on_loopback_only_and_knows_no_others():
    plan = plan_of("[alertmanager]\nenabled = true")

    assert tool_command(plan, plan.tool("alertmanager")) == (
        "/usr/bin/prometheus-alertmanager",
        "--config.file=/srv/kraftd/local/config/alertmanager/alertmanager.yml",
        "--storage.path=/srv/kraftd/local/data/alertmanager",
        "--web.listen-address=127.0.0.1:9193",
        "--cluster.listen-address=",
        "--log.level=warn",
    )
    assert plan.marker("alertmanager").executable == "prometheus-alertmanager"


@pytest.mark.parametrize(
    ("setting", "receiver"),
    [
        ("", {"name": "webhook"}),
        ('webhook_url = "http://h/a: b#\\"c"', None),
        ('webhook_url = "http://h/a:b#\\"c"', {"name": "webhook", "webhook_configs": [{"url": 'http://h/a:b#"c'}]}),
    ],
)
def test_alertmanager_sends_alerts_where_the_user_says_or_nowhere(setting, receiver):
    toml = f"[alertmanager]\nenabled = true\n{setting}"

    if receiver is None:
        with pytest.raises(ConfigurationError, match=r"alertmanager\.webhook_url"):
            files("alertmanager", toml)
    else:
        (text,) = files("alertmanager", toml).values()
        assert yaml.safe_load(text)["receivers"] == [receiver]


def test_prometheus_evaluates_the_rules_that_there_are():
    (text,) = files("prometheus", rules=RULES).values()

    assert 'rule_files:\n  - "/opt/kraftd/monitoring/rules/kafka.yml"\n  - "/opt/\\"k\\"/rules.yml"\nscrape' in text


def test_a_path_of_rules_is_a_pattern_that_matches_itself_alone():
    # Prometheus refuses every star, escaped too, before the last slash.
    (text,) = files("prometheus", rules=(Path("/opt/k[1] *?\\b]/kafka.yml"),)).values()

    assert yaml.safe_load(text)["rule_files"] == ["/opt/k\\[1] [)-+]\\?\\\\b]/kafka.yml"]


def test_grafana_runs_with_its_home_and_a_configuration_of_its_own():
    plan = plan_of(TOOLS)

    assert tool_command(plan, plan.tool("grafana")) == (
        "/usr/share/grafana/bin/grafana",
        "server",
        "--config=/srv/kraftd/local/config/grafana/grafana.ini",
        "--homepath=/usr/share/grafana",
    )


def test_grafana_listens_on_loopback_and_answers_to_that_name_only():
    server = grafana_ini()["server"]

    assert dict(server) == {
        "http_addr": "127.0.0.1", "http_port": "3000", "domain": "127.0.0.1", "enforce_domain": "true"
    }  # fmt: skip


def test_nobody_can_log_in_to_grafana_and_there_is_no_admin():
    ini = grafana_ini()

    assert ini.getboolean("security", "disable_initial_admin_creation")
    assert ini.getboolean("auth", "disable_login_form")
    assert not ini.getboolean("auth.basic", "enabled")
    assert not ini.getboolean("users", "allow_sign_up")
    assert (ini["auth.anonymous"]["enabled"], ini["auth.anonymous"]["org_role"]) == ("true", "Viewer")


def test_grafana_calls_nobody():
    ini = grafana_ini()

    assert set(ini["analytics"].values()) == {"false"}
    assert not ini.getboolean("news", "news_feed_enabled")
    assert not ini.getboolean("snapshots", "external_enabled")
    assert not ini.getboolean("plugins", "plugin_admin_enabled")
    assert ini.getboolean("plugins", "preinstall_disabled")


def test_grafana_keeps_everything_in_the_state_directory():
    assert all(literal(path).is_relative_to(STATE_DIR) for path in grafana_ini()["paths"].values())


def test_grafana_reads_every_path_as_it_is():
    state_dir, dashboards = Path("/home/ada/C#/k;`x` %s"), Path("/opt/C#/`dashboards`")

    found = files("grafana", dashboards=dashboards, state_dir=state_dir)

    ini = grafana_ini(found[state_dir / "config" / "grafana" / "grafana.ini"])
    assert {key: literal(path) for key, path in ini["paths"].items()} == {
        "data": state_dir / "data" / "grafana",
        "logs": state_dir / "logs" / "grafana",
        "plugins": state_dir / "data" / "grafana" / "plugins",
        "provisioning": state_dir / "config" / "grafana" / "provisioning",
    }
    assert literal(ini["dashboards"]["default_home_dashboard_path"]) == dashboards / "overview.json"


def test_grafana_gets_prometheus_as_its_data_source():
    text = files("grafana")[CONFIG / "grafana" / "provisioning" / "datasources" / "prometheus.yml"]

    assert "    type: prometheus\n" in text
    assert '    url: "http://127.0.0.1:9090"\n' in text
    assert "    isDefault: true\n" in text


def test_a_data_source_that_is_there_no_more_is_taken_away():
    found = files("grafana", "[grafana]\nenabled = true")

    text = found[CONFIG / "grafana" / "provisioning" / "datasources" / "prometheus.yml"]
    assert "deleteDatasources:\n  - name: Prometheus\n" in text
    assert "url" not in text


def test_grafana_gets_the_dashboards_that_ship_and_begins_with_the_overview():
    dashboards = Path('/opt/k $1 "x"/dashboards')

    found = files("grafana", dashboards=dashboards)

    (provider,) = yaml.safe_load(found[CONFIG / "grafana" / "provisioning" / "dashboards" / "kraftd.yml"])["providers"]
    # Grafana makes $ of $$, and puts a variable of its environment in place of any other.
    assert provider["options"] == {"path": str(dashboards).replace("$", "$$")}
    assert provider["disableDeletion"]
    assert not provider["allowUiUpdates"]
    ini = grafana_ini(found[CONFIG / "grafana" / "grafana.ini"])
    assert literal(ini["dashboards"]["default_home_dashboard_path"]) == dashboards / "overview.json"


def test_without_dashboards_grafana_is_told_of_none():
    assert not [path for path in files("grafana") if "dashboards" in path.parts]
