"""The daemon's HTTP side: read-only, from the newest snapshot."""
