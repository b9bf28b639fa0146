"""The producer app: JSON over HTTP in, a record in Kafka and its place in the log out."""
