import configparser
from pathlib import Path

from kraftd.render.tools import tool_command, tool_files
from tests.plans import STATE_DIR, TOOLS, plan_of

RULES = (Path("/opt/kraftd/monitoring/rules/kafka.yml"), Path('/opt/"k"/rules.yml'))
CONFIG = STATE_DIR / "config"


def files(name, toml=TOOLS, rules=()):
    plan = plan_of(toml)
    return tool_files(plan, plan.tool(name), rules)


def grafana_ini():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(files("grafana")[CONFIG / "grafana" / "grafana.ini"])
    return parser


def test_prometheus_keeps_two_weeks_in_the_state_directory_and_listens_on_loopback():
    plan = plan_of(TOOLS)

    assert tool_command(plan, plan.tool("prometheus")) == (
        "/usr/bin/prometheus",
        "--config.file=/srv/kraftd/local/config/prometheus/prometheus.yml",
        "--storage.tsdb.path=/srv/kraftd/local/data/prometheus",
        "--storage.tsdb.retention.time=15d",
        "--web.listen-address=127.0.0.1:9090",
        "--web.cors.origin=http://127.0.0.1:9090",
        "--log.level=warn",
    )


def test_prometheus_asks_the_daemon_what_to_scrape():
    toml = f"[cluster]\nport_offset = 100\n{TOOLS}"

    (text,) = files("prometheus", toml).values()

    assert text == (
        "# Rendered by kraftd; changes here are overwritten.\n"
        "global:\n"
        "  scrape_interval: 5s\n"
        "  evaluation_interval: 5s\n"
        "scrape_configs:\n"
        "  - job_name: kraftd\n"
        "    http_sd_configs:\n"
        '      - url: "http://127.0.0.1:8100/sd/prometheus"\n'
        "        refresh_interval: 5s\n"
    )


def test_prometheus_shows_each_app_its_own_token_from_a_file():
    toml = (
        f'{TOOLS}[producer]\nenv = {{ APP_API_TOKEN = "hunter2" }}\n'
        '[consumer]\ninstances = 2\nenv = { APP_API_TOKEN = " hunter3 " }'
    )

    found = files("prometheus", toml)

    text = found.pop(CONFIG / "prometheus" / "prometheus.yml")
    assert found == {
        CONFIG / "prometheus" / "producer.token": "hunter2",
        CONFIG / "prometheus" / "consumer.token": "hunter3",
        CONFIG / "prometheus" / "consumer-2.token": "hunter3",
    }
    assert "hunter" not in text
    everyone, *jobs = text.split("  - job_name: ")[1:]
    assert everyone.endswith(
        "    relabel_configs:\n"
        "      - source_labels: [program]\n"
        "        regex: producer|consumer|consumer-2\n"
        "        action: drop\n"
    )
    assert [job.split("\n")[0] for job in jobs] == ["producer", "consumer", "consumer-2"]
    assert jobs[0] == (
        "producer\n"
        "    http_sd_configs:\n"
        '      - url: "http://127.0.0.1:8000/sd/prometheus"\n'
        "        refresh_interval: 5s\n"
        "    authorization:\n"
        f'      credentials_file: "{CONFIG}/prometheus/producer.token"\n'
        "    relabel_configs:\n"
        "      - source_labels: [program]\n"
        "        regex: producer\n"
        "        action: keep\n"
    )


def test_prometheus_evaluates_the_rules_that_there_are():
    (text,) = files("prometheus", rules=RULES).values()

    assert 'rule_files:\n  - "/opt/kraftd/monitoring/rules/kafka.yml"\n  - "/opt/\\"k\\"/rules.yml"\nscrape' in text


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
    assert all(Path(path).is_relative_to(STATE_DIR) for path in grafana_ini()["paths"].values())


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
