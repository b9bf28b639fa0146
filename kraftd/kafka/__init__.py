"""Access to Kafka: a client for the requests of the daemon and the commands, with plain results."""
