"""Where the replicas and leaders of partitions go. Pure."""
