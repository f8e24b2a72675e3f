"""Tests of what campaigns bring."""
