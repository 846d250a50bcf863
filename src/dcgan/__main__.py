"""`python -m dcgan` is the `dcgan` command."""

import sys

from dcgan.cli import main

if __name__ == "__main__":
    sys.exit(main())
