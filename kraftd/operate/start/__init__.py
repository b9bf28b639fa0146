"""From a configuration to a cluster that serves."""
