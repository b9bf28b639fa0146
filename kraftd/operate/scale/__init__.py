"""`kraftd scale`: more or fewer brokers, and other numbers of replicas, while the cluster serves."""
