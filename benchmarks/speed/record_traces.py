"""Record what the published search proposes when accuracy is a known function of the bits.

python -m benchmarks.speed.record_traces    # writes traces/ anew, the same bytes everywhere
"""

# ruff: noqa: E402 (without mmengine the imports below would end in a traceback)
from __future__ import annotations

from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from ean_mm.search import Reinforce, Reward, seeded_generator
from ean_mm.structures import ConnectionScheme, write_atomically

from .trace_facts import TRACES, Trace

LAYOUTS = ((3, 3, 3), (3, 4, 6, 3), (3, 4, 23, 3), (18, 18, 18))
SEED = 0
REWARD = Reward(sparsity_weight=2.0, offset=-54.0)
HEADER = """\
# Proposals of Reinforce(preset='paper', seed={seed}), blocks per stage {layout}: a scheme per line, a step per group.
# Reward: SyntheticAccuracy({num_connections}) of benchmarks/speed/record_traces.py + 2 * sparsity - 54. Written by that file.
"""


class SyntheticAccuracy:
    """An accuracy whose main effects and whose interactions of neighbours are drawn once, from a seed.

    ``accuracy(a) = 54 + sum_i main_i * a_i + sum_i pair_i * a_i * a_{i+1}``, in percentage points; main_i and pair_i are
    uniform in +-4/sqrt(n), so that random schemes spread by about 1.4 points (standard deviation) whatever the depth.
    Neighbours interact across the borders of stages too.

    Args:
        num_connections: n >= 1, the number of bits.
        seed: of the effects.

    >>> accuracy = SyntheticAccuracy(3)
    >>> accuracy([False] * 3)
    54.0
    >>> accuracy([True] * 3) == 54 + (sum(accuracy.main) + sum(accuracy.pair))
    True
    """

    base = 54.0
    scale = 4.0

    def __init__(self, num_connections: int, seed: int = SEED):
        largest = self.scale / num_connections**0.5
        self.main = _draw(num_connections, largest, seed, 'synthetic main effects')
        self.pair = _draw(num_connections - 1, largest, seed, 'synthetic pair effects')

    def __call__(self, mask: Collection[bool]) -> float:
        # one addition after the other: a matrix product may add in another order on another machine
        total = sum(effect for effect, bit in zip(self.main, mask, strict=True) if bit)
        both = (left and right for left, right in pairwise(mask))
        return self.base + (total + sum(effect for effect, on in zip(self.pair, both, strict=True) if on))


def record(
    blocks_per_stage: Sequence[int], accuracy: Callable[[np.ndarray], float], seed: int = SEED, num_steps: int = 300
) -> Trace:
    """Let the published search learn from an accuracy, and return what it proposes."""
    search = Reinforce(sum(blocks_per_stage), seed=seed, preset='paper', num_steps=num_steps)
    steps = []
    for step in range(search.num_steps):
        masks = search.propose(step)
        search.observe(step, masks, np.array([REWARD(accuracy(mask), mask) for mask in masks]))
        steps.append(tuple(ConnectionScheme.from_mask(mask, blocks_per_stage) for mask in masks))
    return Trace(tuple(steps))


def _draw(count: int, largest: float, seed: int, purpose: str) -> list[float]:
    generator = seeded_generator(seed, count, purpose)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64, device='cpu')
    return ((2 * uniform - 1) * largest).tolist()


def spell(blocks_per_stage: Sequence[int]) -> str:
    """The name of a layout in names of files: '3-4-6-3'."""
    return '-'.join(map(str, blocks_per_stage))


def write_trace(blocks_per_stage: Sequence[int], folder: Path) -> Path:
    """Record the trace of a layout into its file."""
    num_connections = sum(blocks_per_stage)
    trace = record(blocks_per_stage, SyntheticAccuracy(num_connections))
    header = HEADER.format(seed=SEED, layout=' '.join(map(str, blocks_per_stage)), num_connections=num_connections)
    path = folder / f'{spell(blocks_per_stage)}.txt'
    write_atomically(path, (header + trace.to_text()).encode())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description='Record the traces of the published search.')
    parser.add_argument('--folder', type=Path, default=TRACES, help='where files go')
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for layout in LAYOUTS:
        print(write_trace(layout, args.folder).name)


if __name__ == '__main__':
    main()
