"""The wire contract: what comes in, what people write, what goes out. Imports nothing of the worker."""
