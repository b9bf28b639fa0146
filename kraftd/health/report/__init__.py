"""The reports on a cluster: the health document, its history, chains of reasons."""
