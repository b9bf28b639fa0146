"""Asks the doors, each question bounded in time: processes, probes, exits, Kafka's offsets."""
