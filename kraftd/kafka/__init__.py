"""The Kafka door: a client for what the daemon and the commands ask brokers, and its plain answers."""
