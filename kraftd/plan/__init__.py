"""The plan of a cluster: settings, checks, programs, paths. Pure."""
