"""Changes of a running cluster: the settings of its brokers, and who leads a partition."""
