"""The reassignment of partitions to other brokers, and what goes with it."""
