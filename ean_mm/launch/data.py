"""Missing data, before anything is built."""

from __future__ import annotations

from mmengine.config import Config

from ..datasets import require_data


def check_data(cfg: Config, *names: str) -> None:
    """Require the files of the named dataloaders.

    Raises:
        MissingDataError: naming the first missing path, the layout that is expected and where to get the data.
    """
    require_data(*(cfg[name]['dataset'] for name in names if cfg.get(name)))
