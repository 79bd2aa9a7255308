"""``python -m tachograph_dashboard``."""

import sys

from tachograph_dashboard.serve import main

sys.exit(main())
