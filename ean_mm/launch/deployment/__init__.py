"""From a trained network with attention to files that compute the same for less."""

from .export import FORMATS, STEM
from .options import DeployOptions
from .workflow import FOLDER, deploy

__all__ = ['FOLDER', 'FORMATS', 'STEM', 'DeployOptions', 'deploy']
