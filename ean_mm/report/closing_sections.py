"""What made this, how to make it again, and what the words mean."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime, timezone

from ..structures.paths import from_here
from ..version import __version__
from .parts import Code, Facts, Part, Text
from .work_files import WorkFiles, first_undamaged

RETRAIN_FILE = 'retrain.py'
WORDS = (
    ('scheme', 'Which blocks are connected to attention: one bit per residual block, one group of bits per stage.'),
    ('supernet', 'One network trained under random schemes. It scores a scheme without training it alone.'),
    ('ticket', 'The best scheme of the search, saved with where it comes from.'),
    ('none, all', 'The bare network, and the network with attention at every block.'),
    ('reward', 'The metric plus what the config adds for sparsity or takes off for cost; what the strategy maximises.'),
    ('control', 'A scheme that no strategy has chosen: none, all, last stage, every other block, and random ones.'),
    ('recalibrated', 'With batch-norm statistics computed anew for the scheme, on training images.'),
    (
        '95 % interval',
        'Made so that in 95 of 100 repetitions of the drawing it names, the interval holds the true number.',
    ),
    (
        'luck of the choice',
        'The best of many schemes looks better than it is on the images that it was chosen on; the verdict takes that out.',
    ),
    ('Shapley estimate', 'What a block adds to the metric, averaged over the orders in which blocks can be connected.'),
    ('front', 'The schemes that no other scored scheme beats in both metric and latency.'),
    ("Kendall's tau", 'Share of pairs of schemes that two scores put in the same order, less the share they do not.'),
    ('MACs', 'Multiply-accumulates of convolutions and matrix products for one image; about half as many as FLOPs.'),
)


def show_environment(work: WorkFiles) -> Sequence[Part]:
    """Versions, device and seed."""
    ticket, results = work.ticket, first_undamaged(lambda: work.results)
    pairs = []
    if ticket is not None:
        pairs += [(name, version) for name, version in ticket.versions.items()]
        pairs += [('seed of the search', str(ticket.seed))] if ticket.seed is not None else []
        pairs += [('supernet, sha256', ticket.supernet_sha256)] if ticket.supernet_sha256 else []
    if results is not None and results.device:
        pairs.append(('device', results.device))
    if timings := first_undamaged(lambda: work.timings):
        pairs.append(('last step of the search', _spell_time(timings[-1].time)))
    if not pairs:
        return []
    return [Facts([*pairs, ('report by', f'ean_mm {__version__}')])]


def show_commands(work: WorkFiles) -> Sequence[Part]:
    """Commands that repeat what is above, from the checkout."""
    folder = shlex.quote(str(from_here(work.directory)))
    config = find_config(work)
    lines = []
    if config is not None:
        config = shlex.quote(config)
        lines.append(('search again, into a new folder', f'python tools/search.py {config} --work-dir {folder}_again'))
    if (work.directory / RETRAIN_FILE).is_file():
        retrain = shlex.quote(str(from_here(work.directory / RETRAIN_FILE)))
        lines.append(('train the ticket from scratch', f'python tools/train.py {retrain}'))
    if config is not None:
        command = f'python tools/compare.py {config} --work-dir {folder} --seeds 0 1 2 3 4'
        lines.append(('train none, all, ticket and random ones from scratch', command))
    lines.append(('rebuild this page', f'python tools/report.py {folder}'))
    text = 'From the checkout. On a CPU the same seed, versions and latency table give the same search.jsonl, byte for byte.'
    return [Code(lines), Text(text, 'note')]


def find_config(work: WorkFiles) -> str | None:
    """The config of the search: as results.json names it, else the copy that the Runner has left; None if there is none."""
    results = first_undamaged(lambda: work.results)
    if results is not None and results.config:
        return results.config
    copies = [path for path in sorted(work.directory.glob('*.py')) if path.name != RETRAIN_FILE]
    return str(from_here(copies[0])) if copies else None


def show_words(work: WorkFiles) -> Sequence[Part]:
    """A glossary."""
    return [Facts(WORDS)]


def _spell_time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime('%Y-%m-%d %H:%M UTC')
    except (OverflowError, OSError, ValueError):
        return 'unknown'
