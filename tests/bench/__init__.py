"""Tests of the benchmarks: that they run and say what they promise, never how fast."""
