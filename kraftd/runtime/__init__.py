"""The runtime of a node: Java, Kafka's jars, the start-up archive, formatting."""
