"""The version of ean_mm, and nothing else."""

__version__ = '0.1.0'
