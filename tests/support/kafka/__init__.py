"""A real Kafka for the tests: its jars, brokers on loopback ports, and a proxy that harms what passes through it."""
