"""Does the supernet rank schemes as networks trained alone do?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import comb
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..analysis import Fidelity, RankCorrelation, measure_fidelity
from ..hooks.page import write_page
from ..structures import ConnectionScheme, write_atomically
from ..structures.checks import require_whole
from ..visualization import RankedScheme, draw_fidelity, format_fidelity
from .finished_search import FinishedSearch, name_scheme
from .scheme_facts import SchemeFacts
from .short_recipe import shorten_recipe
from .supernet_scores import SupernetScores, score_on_supernet
from .trainings import Announce, Training, log_line, require_same_recipe, run_trainings, with_scheme

FIDELITY_FOLDER = 'fidelity'
FIDELITY_FILE = 'fidelity.json'
FIGURE_FILE = 'fidelity.png'
COMMON_FOLDER = 'common'
_UNKNOWN = dict(value=None, low=None, high=None)


def fidelity(
    cfg: Config,
    num_schemes: int,
    seeds: Sequence[int],
    length: int,
    unit: str = 'epochs',
    scheme_seed: int = 0,
    announce: Announce = log_line,
) -> str:
    """Train schemes from scratch, briefly and with several seeds, and compare their order with that of the supernet's scores.

    Runs in ``<work_dir>/fidelity/<unit>_<length>/<bits>_<seed>``; one that has finished is not run again, one that was
    interrupted resumes. Leaves ``fidelity.json`` and ``fidelity.png`` in the work directory.

    Args:
        cfg: config of a search that has finished.
        num_schemes: none, all and the ticket, and random ones of all sizes; more are the same and further ones.
        seeds: of the trainings.
        length: of a training, by the recipe of ``retrain.py`` with its schedule compressed.
        unit: 'epochs' or 'iters'.
        scheme_seed: of the choice of random schemes.
        announce: called with lines about what is to be done and the time left.

    Returns:
        A table and what it means, as text.

    Raises:
        ValueError: if the search has not finished, a number is out of range, or a folder holds another training.
        SupernetError: if the supernet cannot be used.
    """
    search = FinishedSearch.open(Path(cfg.work_dir))
    schemes = spread_schemes(search.ticket, num_schemes, scheme_seed)
    seeds = list(dict.fromkeys(seeds))
    recipe = shorten_recipe(search.retrain, length, unit)
    folder = search.directory / FIDELITY_FOLDER / f'{unit}_{length}'
    trainings = [[_plan(recipe, scheme, seed, folder, search) for seed in seeds] for scheme in schemes]
    in_turn = [training for of_seed in zip(*trainings, strict=True) for training in of_seed]
    for training in in_turn:
        require_same_recipe(training)
    common = search.directory / FIDELITY_FOLDER / COMMON_FOLDER
    scores = score_on_supernet(cfg, schemes, common / 'supernet')  # before hours of training: it may not work
    run_trainings(
        in_turn, lambda: SchemeFacts(with_scheme(recipe, 'all'), common / 'time').estimate_seconds(), announce
    )
    stand_alone = [[training.require(search.metric) for training in row] for row in trainings]
    ranked = [
        RankedScheme(name_scheme(scheme, search), str(scheme), tuple(values), recalibrated, raw)
        for scheme, values, recalibrated, raw in zip(schemes, stand_alone, scores.recalibrated, scores.raw, strict=True)
    ]
    return _conclude(search, ranked, scores, {'unit': unit, 'length': length}, seeds)


def spread_schemes(ticket: ConnectionScheme, num_schemes: int, seed: int) -> list[ConnectionScheme]:
    """none, all, the ticket and random schemes whose sizes are spread evenly; a longer list begins with the shorter one.

    Raises:
        ValueError: if there are not so many.

    >>> [scheme.num_connected for scheme in spread_schemes(ConnectionScheme.from_string('110 000 001'), 8, seed=0)]
    [0, 9, 3, 5, 3, 7, 2, 6]
    """
    layout, total = ticket.blocks_per_stage, ticket.num_connections
    require_whole('num_schemes', num_schemes, 3)
    if num_schemes > 2**total:
        raise ValueError(f'`num_schemes` must be at most the {2**total} that there are, but got {num_schemes!r}.')
    chosen = dict.fromkeys([ConnectionScheme.none(layout), ConnectionScheme.all(layout), ticket])
    generator = np.random.default_rng([seed, total])
    index = 0
    while len(chosen) < num_schemes:
        index += 1
        size = 1 + int(_van_der_corput(index) * (total - 1))
        is_full = sum(scheme.num_connected == size for scheme in chosen) == comb(total, size)
        num_before = len(chosen)
        while not is_full and len(chosen) == num_before:
            mask = generator.permutation(np.arange(total) < size)
            chosen[ConnectionScheme.from_mask(mask, layout)] = None
    return list(chosen)


def _van_der_corput(index: int) -> float:
    """The index-th of 1/2, 1/4, 3/4, 1/8, 5/8, ...: the bits of the index behind the point, last one first."""
    bits = f'{index:b}'
    return sum(int(bit) / 2 ** (place + 1) for place, bit in enumerate(reversed(bits)))


def _plan(recipe: Config, scheme: ConnectionScheme, seed: int, folder: Path, search: FinishedSearch) -> Training:
    work_dir = folder / f'{str(scheme).replace(" ", "")}_{seed}'
    return Training(name_scheme(scheme, search), scheme, with_scheme(recipe, scheme), work_dir, seed)


# -- what it means -----------------------------------------------------------------------------------------------------


def _conclude(
    search: FinishedSearch,
    ranked: Sequence[RankedScheme],
    scores: SupernetScores,
    length: dict,
    seeds: Sequence[int],
) -> str:
    """Write the files; return the text that ends it."""
    kinds = {'recalibrated': scores.recalibrated, 'raw': scores.raw}
    found = measure_fidelity(kinds, [scheme.stand_alone for scheme in ranked])
    sentence = spell_fidelity(found, len(ranked), len(seeds))
    facts = dict(
        metric=search.metric,
        epochs=length['length'] if length['unit'] == 'epochs' else None,
        iters=length['length'] if length['unit'] == 'iters' else None,
        seeds=list(seeds),
        num_images=scores.num_images,
        schemes=[scheme.to_dict() for scheme in ranked],
        tau={
            **{name: asdict(tau) for name, tau in found.taus.items()},
            'ceiling': _to_dict(found.ceiling),
            'perfect': _to_dict(found.perfect),
            'gain': asdict(found.gains['raw']),
        },
        sentence=sentence,
    )
    content = json.dumps(facts, indent=2, allow_nan=False) + '\n'
    write_atomically(search.directory / FIDELITY_FILE, content.encode())
    titles = {name: f'{name}: tau {_spell(tau)}' for name, tau in found.taus.items()}
    draw_fidelity(ranked, titles, search.metric).savefig(search.directory / FIGURE_FILE, dpi=110)
    trained = f'{length["length"]} {length["unit"]}' if length['length'] > 1 else f'1 {length["unit"][:-1]}'
    table = format_fidelity(ranked, search.metric, f'Trained alone for {trained}, beside scores of the supernet')
    return '\n'.join([table, sentence, f'Picture: {search.directory / FIGURE_FILE}', *write_page(search.directory)])


def _to_dict(found: RankCorrelation | None) -> dict:
    return dict(_UNKNOWN) if found is None else asdict(found)


def spell_fidelity(found: Fidelity, num_schemes: int, num_seeds: int) -> str:
    """What was found, in plain words.

    Args:
        found: with scores called 'recalibrated' and 'raw'.
        num_schemes: that were compared.
        num_seeds: of each.
    """
    tau, raw = found.taus['recalibrated'], found.taus['raw']
    if tau.low > 0:
        verdict = 'The supernet ranks schemes as training them alone does, better than chance'
    else:
        verdict = (
            'The supernet is not shown to rank schemes' if tau.high >= 0 else 'The supernet ranks schemes backwards'
        )
    text = f'{verdict}: Kendall tau {_spell(tau)} over {num_schemes} schemes. '
    if found.ceiling is None or found.perfect is None:
        text += 'How well they can be ranked at all is unknown with one seed: name several (--seeds 0 1 2). '
    elif found.ceiling.value <= 0:
        text += f'Nothing could rank them: two seeds do not agree with each other (tau {_spell(found.ceiling)}). '
    else:
        share = f', of which that is {100 * tau.value / found.ceiling.value:.0f} %' if tau.value > 0 else ''
        text += (
            f'Two seeds agree with each other by {_spell(found.ceiling)}{share}; a perfect score would reach about '
            f'{found.perfect.value:.2f} with the mean of {num_seeds}. '
        )
    gain = found.gains['raw']
    return f'{text}Without recalibration tau is {_spell(raw)}: a difference of {gain.value:+.2f} ({_range(gain)}).'


def _spell(tau: RankCorrelation) -> str:
    return f'{tau.value:.2f} ({_range(tau)})'


def _range(tau: RankCorrelation) -> str:
    return f'{tau.low:.2f} to {tau.high:.2f}'
