"""What the tests are held against: the naive twin, random streams and definitions."""
