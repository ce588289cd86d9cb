"""What a person looks at: progress, tables, figures."""

from .deploy_table import DeployRow, format_deploy
from .gate_figure import draw_gates
from .prediction_figure import Prediction, draw_predictions
from .progress import SearchProgress
from .regret_figure import draw_regrets
from .results_table import ResultRow, format_results, format_trained, to_text
from .search_figure import ScoredScheme, draw_search
from .transfer_table import TransferRow, format_transfer

__all__ = [
    'DeployRow',
    'Prediction',
    'ResultRow',
    'ScoredScheme',
    'SearchProgress',
    'TransferRow',
    'draw_gates',
    'draw_predictions',
    'draw_regrets',
    'draw_search',
    'format_deploy',
    'format_results',
    'format_trained',
    'format_transfer',
    'to_text',
]
