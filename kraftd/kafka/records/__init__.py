"""Records, read and sent by librdkafka, which is imported when the first one is."""
