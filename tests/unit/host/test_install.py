from pathlib import Path

from kraftd.host.install import dashboards_dir, monitoring_dir, rule_files, template_text

ROOT = Path(__file__).resolve().parents[3]


def test_a_checkout_uses_its_own_files():
    assert template_text() == (ROOT / "supervisord.conf.j2").read_text(encoding="utf-8")
    assert monitoring_dir() == ROOT / "monitoring"
    assert (monitoring_dir() / "prometheus.yml").is_file()


def test_rules_are_those_that_ship():
    assert list(rule_files()) == sorted((ROOT / "monitoring" / "rules").glob("*.yml"))


def test_dashboards_are_those_that_ship_and_their_home_is_among_them():
    assert dashboards_dir() == ROOT / "monitoring" / "grafana" / "dashboards"
    assert (dashboards_dir() / "overview.json").is_file()
