"""Counting by density maps, on mmengine's bases alone."""

from .counter import Counter
from .crowd_dataset import CrowdDataset
from .density import density_map
from .digit_crowds import DigitCrowds
from .head import DensityHead
from .metric import CountMetric
from .transforms import CropWithPoints, FlipWithPoints, PackCountInputs

__all__ = [
    'CountMetric',
    'Counter',
    'CropWithPoints',
    'CrowdDataset',
    'DensityHead',
    'DigitCrowds',
    'FlipWithPoints',
    'PackCountInputs',
    'density_map',
]
