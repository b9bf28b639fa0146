"""The families of /metrics."""
