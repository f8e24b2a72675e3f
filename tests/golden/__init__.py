"""What is generated is held to files."""
