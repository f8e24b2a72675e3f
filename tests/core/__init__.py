"""Tests of the engine, its twin and the definitions."""
