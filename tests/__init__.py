"""Shoal's tests."""
