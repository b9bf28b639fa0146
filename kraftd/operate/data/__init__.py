"""The use cases on what a cluster holds: topics, groups and records."""
