"""The simulated shop: a seed in, Segment-spec events out, and the truth about them. Start at `stream.py`."""
