"""Lift: what campaigns bring, from the records of decisions, messages, conversions and observations.

Pure: no clock, no randomness, no IO, no Kafka. Records in, results out; shells bring the ones and publish the others.
"""
