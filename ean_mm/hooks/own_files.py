"""What training, search and comparison leave in a work directory."""

from __future__ import annotations

from pathlib import Path

from .conclusion import AFTERMATH_FILES
from .retrain_config import RETRAIN_FILE
from .search_costs import LATENCY_FILE
from .search_outcome import COMPARISON_FOLDER, FIGURE_FILE, RESULTS_FILE
from .supernet_hook import SUPERNET_FILE

_OF_TRAINING = (SUPERNET_FILE, 'epoch_*.pth', 'iter_*.pth', 'last_checkpoint')
_PAGES = ('report*', 'activation_maps.npz')
_OF_SEARCH = (RESULTS_FILE, FIGURE_FILE, RETRAIN_FILE, LATENCY_FILE, *AFTERMATH_FILES)
_OF_THE_TICKET = (
    COMPARISON_FOLDER,
    'comparison.*',
    'ratios*',
    'fidelity*',
    'seeds*',
    'consensus.json',
    'picked.json',
)


def list_files(directory: Path) -> list[str]:
    """The names of those beside the record, which a restart moves aside with it: they belong to a ticket that is no more."""
    patterns = (*_OF_TRAINING, *_OF_SEARCH, *_OF_THE_TICKET, *_PAGES)
    return sorted({path.name for pattern in patterns for path in directory.glob(pattern)})
