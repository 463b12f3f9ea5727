"""Sphinx configuration.  Reference pages of commands and errors are generated from the sources at build time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

project = "Hyper Open X"
author = "the Hyper Open X team"
copyright = "the Hyper Open X team"
extensions = ["generated"]
html_theme = "furo"
html_title = "Hyper Open X"
exclude_patterns = ["_build", "adr/template.rst"]
nitpicky = True
