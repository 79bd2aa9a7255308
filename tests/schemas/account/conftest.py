"""The helper beside these tests is imported by name."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
