"""Use cases: each returns a result and prints nothing."""
