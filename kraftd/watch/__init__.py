"""What the cluster is like, whether that is well, and what to do about it."""
