"""What a person looks at: progress, tables, figures."""

from .comparison_figure import draw_comparison
from .comparison_table import ComparisonRow, format_comparison, format_interval
from .deploy_table import DeployRow, format_deploy
from .effects_figure import EffectBar, draw_effects
from .fidelity_figure import RankedScheme, draw_fidelity, format_fidelity
from .front_figure import FrontScheme, draw_candidates, draw_front
from .gate_figure import draw_gates
from .keep_figure import draw_keep
from .prediction_figure import Prediction, draw_predictions
from .progress import SearchProgress
from .ratio_table import RatioRow, TrainedScheme, draw_ratios, format_ratios
from .regret_figure import draw_regrets
from .results_table import ResultRow, format_results, format_trained, to_text
from .search_figure import ScoredScheme, draw_search
from .transfer_table import TransferRow, format_transfer
from .verdict_figure import ComparisonBar, ControlPoint, draw_verdict

__all__ = [
    'ComparisonBar',
    'ComparisonRow',
    'ControlPoint',
    'DeployRow',
    'EffectBar',
    'FrontScheme',
    'Prediction',
    'RankedScheme',
    'RatioRow',
    'ResultRow',
    'ScoredScheme',
    'SearchProgress',
    'TrainedScheme',
    'TransferRow',
    'draw_candidates',
    'draw_comparison',
    'draw_effects',
    'draw_fidelity',
    'draw_front',
    'draw_gates',
    'draw_keep',
    'draw_predictions',
    'draw_ratios',
    'draw_regrets',
    'draw_search',
    'draw_verdict',
    'format_comparison',
    'format_deploy',
    'format_fidelity',
    'format_interval',
    'format_ratios',
    'format_results',
    'format_trained',
    'format_transfer',
    'to_text',
]
