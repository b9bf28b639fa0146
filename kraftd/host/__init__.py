"""This machine: files, locks, processes, ports, Java and Kafka's jars."""
