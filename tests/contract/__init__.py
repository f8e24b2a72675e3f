"""What others may rely on: records, topics and definitions, as published."""
