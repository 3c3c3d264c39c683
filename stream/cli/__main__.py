"""`python -m stream.cli`: the `liveness` command."""

from stream.cli import main

if __name__ == "__main__":
    main()
