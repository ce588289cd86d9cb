"""What a recorded search repeats, and so how much faster it can be at most when nothing is computed twice.

python -m benchmarks.speed.trace_facts    # a table of all traces in traces/
"""

# ruff: noqa: E402 (without mmengine the imports below would end in a traceback)
from __future__ import annotations

from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from ean_mm.structures import ConnectionScheme
from ean_mm.visualization import to_text

TRACES = Path(__file__).parent / 'traces'


@dataclass(frozen=True)
class Trace:
    """The proposals of a search, step by step.

    Its text has one scheme per line, an empty line between steps, and comments that begin with ``#``.

    Args:
        steps: what was proposed at each step, all of one layout.

    Raises:
        ValueError: if there is no step, a step is empty, or layouts differ.

    >>> Trace.from_text('# two steps' + chr(10) + '01 1' + chr(10) * 2 + '11 0').to_text().split()
    ['01', '1', '11', '0']
    """

    steps: tuple[tuple[ConnectionScheme, ...], ...]

    def __post_init__(self) -> None:
        if not self.steps or not all(self.steps):
            raise ValueError(f'`steps` must hold at least one scheme each, but got {len(self.steps)} steps.')
        layouts = {scheme.blocks_per_stage for scheme in self.schemes}
        if len(layouts) > 1:
            raise ValueError(f'`steps` must hold schemes of one layout, but got {sorted(layouts)}.')

    @classmethod
    def from_text(cls, text: str) -> Trace:
        """Read what ``to_text`` wrote, with or without comments.

        Raises:
            ValueError: if a line is no scheme or there is none.
        """
        lines = [line for line in text.splitlines() if not line.startswith('#')]
        groups = '\n'.join(lines).strip('\n').split('\n\n')
        return cls(tuple(tuple(map(ConnectionScheme.from_string, group.split('\n'))) for group in groups))

    def to_text(self) -> str:
        """One scheme per line, an empty line between steps."""
        return '\n\n'.join('\n'.join(map(str, step)) for step in self.steps) + '\n'

    @property
    def schemes(self) -> tuple[ConnectionScheme, ...]:
        """All proposals in order."""
        return tuple(scheme for step in self.steps for scheme in step)

    @property
    def blocks_per_stage(self) -> tuple[int, ...]:
        """The layout of its schemes."""
        return self.steps[0][0].blocks_per_stage


@dataclass(frozen=True)
class TraceFacts:
    """How much of the work of scoring every proposal in full is work done before.

    Block k reads what the bits before its own have made, so its residual branch is new only where these bits have not been
    seen together; its own bit decides about the attention alone, which is not counted. No order matters: new branches of
    block k are distinct prefixes of k bits.

    Attributes:
        num_proposals: N, repetitions included.
        num_distinct: how many of them differ.
        num_new: for each block, how many residual branches must be computed when all are kept.
    """

    num_proposals: int
    num_distinct: int
    num_new: tuple[int, ...]

    @property
    def memory_limit(self) -> float:
        """How many times faster a search is that remembers scores and shares nothing else."""
        return self.num_proposals / self.num_distinct

    def new_share(self, weights: Sequence[float] | None = None, rest: float = 0.0) -> float:
        """Share of all block work that is new, in (0, 1].

        Args:
            weights: work of each block, like its MACs; None takes all as equal.
            rest: work before the first block, in the same unit, which is new once.

        Raises:
            ValueError: if there is not one weight above 0 per block.
        """
        weights = [1.0] * len(self.num_new) if weights is None else list(weights)
        if len(weights) != len(self.num_new) or min(weights) <= 0:
            raise ValueError(f'`weights` must be {len(self.num_new)} numbers above 0, but got {weights!r}.')
        new = rest + sum(weight * count for weight, count in zip(weights, self.num_new, strict=True))
        return new / (self.num_proposals * (rest + sum(weights)))

    def sharing_limit(self, weights: Sequence[float] | None = None, rest: float = 0.0) -> float:
        """How many times faster a search is that computes nothing twice, with room for all activations."""
        return 1 / self.new_share(weights, rest)


def count_facts(schemes: Iterable[ConnectionScheme]) -> TraceFacts:
    """Count what proposals of one layout have in common.

    >>> count_facts(map(ConnectionScheme.from_string, ['000', '001', '010', '001']))
    TraceFacts(num_proposals=4, num_distinct=3, num_new=(1, 1, 2))
    """
    masks = [tuple(scheme.mask.tolist()) for scheme in schemes]
    num_new = tuple(len({mask[:block] for mask in masks}) for block in range(len(masks[0])))
    return TraceFacts(len(masks), len(set(masks)), num_new)


def draw_table(facts: dict[str, TraceFacts]) -> str:
    """One line per trace, every block weighing the same."""
    table = Table()
    table.add_column('trace')
    for header in ('sites', 'proposals', 'distinct', 'by memory alone', 'new block work', 'by sharing, at most'):
        table.add_column(header, justify='right')
    for name, fact in facts.items():
        numbers = (len(fact.num_new), fact.num_proposals, fact.num_distinct)
        limits = (f'{fact.memory_limit:.2f} x', f'{fact.new_share():.1%}', f'{fact.sharing_limit():.2f} x')
        table.add_row(name, *map(str, numbers), *limits)
    return to_text(table)


def main() -> None:
    parser = argparse.ArgumentParser(description='Count what recorded searches repeat.')
    parser.add_argument('traces', nargs='*', type=Path, help='files of traces (default: all that are committed)')
    paths = parser.parse_args().traces or sorted(TRACES.glob('*.txt'))
    facts = {path.stem: count_facts(Trace.from_text(path.read_text()).schemes) for path in paths}
    print(draw_table(dict(sorted(facts.items(), key=lambda item: len(item[1].num_new)))))


if __name__ == '__main__':
    main()
