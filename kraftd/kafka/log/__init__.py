"""The logs of partitions: the headers of their batches, and the transactions that are open in them."""
