"""What a person looks at: progress, tables, figures."""

from .progress import SearchProgress
from .results_table import ResultRow, format_results, to_text
from .search_figure import ScoredScheme, draw_search

__all__ = [
    'ResultRow',
    'ScoredScheme',
    'SearchProgress',
    'draw_search',
    'format_results',
    'to_text',
]
