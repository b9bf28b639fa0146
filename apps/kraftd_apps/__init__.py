"""Two HTTP apps for Kafka: one publishes JSON, one shows what arrived. They need a broker, nothing of kraftd."""
