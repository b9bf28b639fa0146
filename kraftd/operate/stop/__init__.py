"""Stopping without losing a record: the order, its execution, what it refuses."""
