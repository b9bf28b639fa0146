"""A real multi-broker Apache Kafka cluster on one machine, from one command."""

__version__ = "0.1.0"
