"""`python -m worker` is the same as `shoal`."""

from worker.cli import main

if __name__ == "__main__":
    main()
