"""Shoal's worker: see README.md for the way in."""
