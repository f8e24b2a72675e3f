"""The shells around the core that read and write files: replay, demo, explain, and what they share."""
