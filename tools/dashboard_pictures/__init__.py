"""Pictures of the dashboards from a Prometheus: the same queries, units, bounds and places as in Grafana."""
