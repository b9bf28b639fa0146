"""`kraftd backup`: the records, topics and offsets of a cluster in a directory, and back (docs/backup.md)."""
