"""What people write for Shoal, definitions and mappings: read, judged, every mistake told at its spot."""
