"""The daemon: the process that observes a cluster, restarts programs, serves HTTP."""
