"""What commands ask of Kafka, and change in it, beyond what the daemon watches."""
