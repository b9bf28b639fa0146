"""Restarting programs of a running cluster one after the other: the order, the gates between them, the journal."""
