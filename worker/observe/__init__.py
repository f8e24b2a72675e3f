"""What an operator sees of a running worker: metrics, health, logs, and the HTTP server that shows the first two."""
