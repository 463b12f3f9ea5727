"""Makes ``tests.…`` of the repository importable, as ``tests/conftest.py`` does for the others."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))
