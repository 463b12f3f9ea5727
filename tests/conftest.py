"""Makes ``tests.…`` importable.  Appended: what is installed is tested, not the clone beside it.

A clone may lie where users of partitions cannot read; the installed package never does.
"""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.append(str(Path(__file__).parents[1]))

# No database: the clone may be read-only for who tests.  No deadline: a busy machine is no defect.
settings.register_profile("here", database=None, deadline=None)
settings.load_profile("here")
