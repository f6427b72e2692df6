"""`python -m bifrost` is the `bifrost` command."""

import sys

from bifrost.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
