"""What the tests are made of: random streams and definitions, engine and twin side by side."""
