"""Let `python -m ddb` run the `ddb` command."""

import sys

from ddb.cli import main

if __name__ == "__main__":
    sys.exit(main())
