"""Offsets, lag in records and in time, and what it says of a group."""
