"""Tests of the engine and of its twin."""
