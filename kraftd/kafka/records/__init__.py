"""Records, one by one and in bulk, read and sent by librdkafka, which is imported when the first one is."""
