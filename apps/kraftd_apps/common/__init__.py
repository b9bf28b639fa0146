"""Parts that the producer and the consumer app share."""
