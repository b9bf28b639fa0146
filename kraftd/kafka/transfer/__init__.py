"""Records, topics and committed offsets in bulk: read from a cluster, and written to one."""
