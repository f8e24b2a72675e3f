"""The worker on a real Kafka."""
