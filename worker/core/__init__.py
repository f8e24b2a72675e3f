"""The engine: bytes in, effects out; no clock, no randomness, no IO."""
