"""Makes the sibling file with a good ticket importable; test folders are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location('tickets', Path(__file__).with_name('tickets.py'))
sys.modules['tickets'] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules['tickets'])
