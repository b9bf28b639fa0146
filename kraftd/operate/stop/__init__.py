"""Stopping without losing a record: the order, its execution, and what blocks it."""
