"""Makes ``tests.…`` importable.  Appended: what is installed is tested, not the clone beside it.

A clone may lie where users of partitions cannot read; the installed package never does.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
