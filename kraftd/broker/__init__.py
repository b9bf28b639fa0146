"""The Kafka door: what kraftd asks of brokers, and the answers as plain data."""
