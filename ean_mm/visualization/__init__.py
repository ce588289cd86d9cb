"""What a person looks at: progress, tables, figures."""

from .prediction_figure import Prediction, draw_predictions
from .progress import SearchProgress
from .regret_figure import draw_regrets
from .results_table import ResultRow, format_results, to_text
from .search_figure import ScoredScheme, draw_search
from .transfer_table import TransferRow, format_transfer

__all__ = [
    'Prediction',
    'ResultRow',
    'ScoredScheme',
    'SearchProgress',
    'TransferRow',
    'draw_predictions',
    'draw_regrets',
    'draw_search',
    'format_results',
    'format_transfer',
    'to_text',
]
