"""Data: the small embedded tasks made of real scans, and the hold-out of any training set."""

from .cued_digits import CuedDigits, draw_scene
from .digit_scans import DigitScans, load_digit_scans
from .digit_scenes import DigitScene, SceneRecipe, compose_scene
from .digit_segmentation import DigitScenes
from .drawn_scenes import DrawnScenes
from .epoch_slices import EpochSlices
from .generated_images import FirstImages, GeneratedImages, loads_files, require_generable
from .hold_out import hold_out
from .lamp_digits import LampDigits
from .missing_data import (
    MissingDataError,
    explain_missing_data,
    find_missing_data,
    require_data,
)
from .pixel_noise import PixelNoise

__all__ = [
    'CuedDigits',
    'DigitScans',
    'DigitScene',
    'DigitScenes',
    'DrawnScenes',
    'EpochSlices',
    'FirstImages',
    'GeneratedImages',
    'LampDigits',
    'MissingDataError',
    'PixelNoise',
    'SceneRecipe',
    'compose_scene',
    'draw_scene',
    'explain_missing_data',
    'find_missing_data',
    'hold_out',
    'load_digit_scans',
    'loads_files',
    'require_data',
    'require_generable',
]
