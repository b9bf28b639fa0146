"""The producer app: writes JSON from HTTP requests to Kafka, and answers with the record's place in the log."""
