"""ean_mm: find where in a network attention should be plugged in.

Importing the package is cheap: modules load when a config names them by scope (``ean_mm.EANBackbone``).
"""

from .version import __version__

__all__ = ['__version__']
