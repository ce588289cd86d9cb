"""Networks for deployment: the same function, or nearly, at a lower cost."""

from .accelerated_backbone import AcceleratedBackbone
from .folding import describe_site, find_fold_points, fold_constant_gates, fold_gates, name_site, release, scale_site
from .gates import MeanRecorder, SiteGates, compute_gates, recorded_means
from .rewriting import rewrite

__all__ = [
    'AcceleratedBackbone',
    'MeanRecorder',
    'SiteGates',
    'compute_gates',
    'describe_site',
    'find_fold_points',
    'fold_constant_gates',
    'fold_gates',
    'name_site',
    'recorded_means',
    'release',
    'rewrite',
    'scale_site',
]
