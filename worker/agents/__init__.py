"""The Faust side of a worker: agents that follow the low-rate topics, and the services around the hot path."""
