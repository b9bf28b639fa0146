"""Another version of Kafka for a cluster that serves, and the levels of features that follow it."""
