"""The Grafana dashboards: one module per dashboard, and what they share. ``make dashboards`` writes their JSON."""
