"""Benchmarks: what the engine costs, as figures a person can reproduce with one command."""
