"""What operators do to a deployment and ask of it, over Kafka: one job a module, called by the command line."""
