"""Observations through the doors, each bounded in time: processes, probes, exits, Kafka's state."""
