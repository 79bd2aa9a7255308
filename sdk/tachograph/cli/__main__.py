"""``python -m tachograph.cli``: the command ``tacho`` without its script."""

import sys

from tachograph.cli import main

sys.exit(main())
