"""The hot path on Kafka: one task per partition that reads, steps the engine and commits, exactly once."""
