"""What learns: targets' models, from samples of the engine, into snapshots that the engine scores with.

Pure: no clock, no IO, no randomness but seeded. Times are those of the records; the same records in the same order
give the same snapshots, byte for byte, however they were delivered.
"""
