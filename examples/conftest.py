"""Lets ``pytest examples`` import every example; alone, each has its own pyproject.toml."""

import sys
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here), *(str(folder) for folder in here.iterdir() if folder.is_dir())]
