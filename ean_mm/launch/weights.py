"""Missing weights, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from ..hooks.supernet_hook import SUPERNET_FILE


def check_weights(cfg: Config) -> None:
    """Require the files of weights that a config starts from: ``load_from`` and every ``Pretrained`` of its model.

    Paths with a scheme, such as torchvision://, are taken for present.

    Raises:
        ValueError: naming the entry of the first missing file, and how to do without it.
    """
    for entry, owner, path in _iter_weights(cfg):
        if '://' not in path and not Path(path).expanduser().is_file():
            raise ValueError(
                f'`{entry}` must be a file of weights, but got {path!r}, which does not exist; {_advise(path)}, correct '
                f'the path, or start without them by --cfg-options {owner}=None.'
            )


def _advise(path: str) -> str:
    is_supernet = Path(path).name == SUPERNET_FILE
    return 'search first (tools/search.py leaves it)' if is_supernet else 'train them first'


def _iter_weights(cfg: Config) -> Iterator[tuple[str, str, str]]:
    """Entries of the config that name weights, what to unset to do without them, and the path."""
    yield from _iter_pretrained(cfg.get('model'), 'model', 'model')
    if cfg.get('load_from'):
        yield 'load_from', 'load_from', str(cfg.load_from)


def _iter_pretrained(node: object, name: str, owner: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, dict):
        if node.get('type') == 'Pretrained' and node.get('checkpoint'):
            yield f'{name}.checkpoint', owner, str(node['checkpoint'])
        for key, value in node.items():
            yield from _iter_pretrained(value, f'{name}.{key}', f'{name}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _iter_pretrained(value, f'{name}.{index}', owner)  # a list is unset as a whole
