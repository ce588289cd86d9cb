"""Which residual blocks of a backbone are connected to attention: one bit per block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from .shorten import shorten

_WORDS = {'all': True, 'none': False}


@dataclass(frozen=True)
class ConnectionScheme:
    """The on/off choice for each residual block, grouped by stage; immutable and hashable.

    Three spellings convert into each other: one string of bits per stage
    (``'101 0110 100100 010'``), a mask of one boolean per block, and one decimal code per stage
    with the most significant bit for the first block (``(5, 6, 36, 2)``).
    Source: arXiv:2011.14058; the decimal codes are those of its published code.

    Args:
        stages: for each stage, for each of its blocks, whether it is connected.

    Raises: ValueError if a stage is empty or holds anything but booleans.

    >>> ConnectionScheme.from_codes((5, 6), (3, 4))
    ConnectionScheme.from_string('101 0110')
    >>> scheme = ConnectionScheme.parse('100 1011 010011 011', (3, 4, 6, 3))
    >>> scheme.codes, scheme.num_connected, scheme.sparsity
    ((4, 11, 19, 3), 9, 0.4375)
    """

    stages: tuple[tuple[bool, ...], ...]

    def __post_init__(self) -> None:
        nested = isinstance(self.stages, tuple) and all(isinstance(s, tuple) for s in self.stages)
        if not nested or not self.stages or not all(self.stages):
            raise ValueError(f'`stages` must be a tuple of non-empty tuples, but got {shorten(self.stages)}.')
        for index, bit in enumerate(bit for stage in self.stages for bit in stage):
            if not isinstance(bit, bool):
                raise ValueError(f'`stages` must hold booleans, but got {shorten(bit)} for block {index}.')

    # -- other spellings in --------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str, blocks_per_stage: Sequence[int]) -> ConnectionScheme:
        """Read ``'all'``, ``'none'`` or one string of bits per stage for a known layout.

        Raises:
            ValueError: if a letter is neither 0 nor 1 or the layout is another.
        """
        layout = _check_layout(blocks_per_stage)
        if isinstance(text, str) and text in _WORDS:
            return cls._constant(_WORDS[text], layout)
        scheme = cls.from_string(text)
        if scheme.blocks_per_stage != layout:
            raise ValueError(
                f'`scheme` must have {_spell(layout)} bits per stage, but got {shorten(text)} '
                f"with {_spell(scheme.blocks_per_stage)}; 'all' and 'none' fit every backbone."
            )
        return scheme

    @classmethod
    def from_string(cls, text: str) -> ConnectionScheme:
        """Read one string of bits per stage, separated by single spaces, of any layout.

        Raises:
            ValueError: if a stage is empty or a letter is neither 0 nor 1.
        """
        if not isinstance(text, str) or not text:
            raise ValueError(f"`scheme` must be a text like '101 0110 100100 010', but got {shorten(text)}.")
        for index, letter in enumerate(text):
            if letter not in '01 ':
                raise ValueError(
                    f"`scheme` must hold '0', '1' and single spaces between stages only, but got "
                    f'{letter!r} at index {index} of {shorten(text)}.'
                )
        groups = text.split(' ')
        if '' in groups:
            raise ValueError(
                f'`scheme` must have single spaces between stages and none around, but got '
                f'{shorten(text)}; stage {groups.index("") + 1} is empty.'
            )
        return cls(tuple(tuple(letter == '1' for letter in group) for group in groups))

    @classmethod
    def from_mask(cls, mask: Iterable, blocks_per_stage: Sequence[int]) -> ConnectionScheme:
        """Read one boolean (or 0 or 1) per block: a list, an array or a tensor of one dimension.

        Raises:
            ValueError: if its length is not the number of blocks or an entry is neither 0 nor 1.
        """
        layout = _check_layout(blocks_per_stage)
        values = mask.tolist() if hasattr(mask, 'tolist') else mask
        if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
            raise ValueError(f'`mask` must be one boolean per block, but got {shorten(mask)}.')
        values = list(values)
        if len(values) != sum(layout):
            raise ValueError(
                f'`mask` must have {sum(layout)} entries ({_spell(layout)} blocks per stage), but '
                f'got {len(values)}: {shorten(values)}.'
            )
        bits = iter([_check_bit(value, index) for index, value in enumerate(values)])
        return cls(tuple(tuple(next(bits) for _ in range(count)) for count in layout))

    @classmethod
    def from_codes(cls, codes: Sequence[int], blocks_per_stage: Sequence[int]) -> ConnectionScheme:
        """Read one decimal code per stage; its most significant bit is the stage's first block.

        Raises:
            ValueError: if there is not one code per stage or one has too many bits for its stage.
        """
        layout = _check_layout(blocks_per_stage)
        codes = list(codes)
        if len(codes) != len(layout):
            raise ValueError(
                f'`codes` must have {len(layout)} entries, one per stage, but got {len(codes)}: {shorten(codes)}.'
            )
        for index, (code, count) in enumerate(zip(codes, layout, strict=True)):
            is_whole = isinstance(code, int | np.integer) and not isinstance(code, bool)
            if not is_whole or not 0 <= code < 2**count:
                raise ValueError(
                    f'`codes` must be whole numbers from 0 to 2^blocks - 1 ({2**count - 1} here), '
                    f'but got {shorten(code)} for stage {index + 1}.'
                )
        return cls.from_string(' '.join(f'{int(code):0{count}b}' for code, count in zip(codes, layout, strict=True)))

    @classmethod
    def all(cls, blocks_per_stage: Sequence[int]) -> ConnectionScheme:
        """Every block connected."""
        return cls._constant(True, _check_layout(blocks_per_stage))

    @classmethod
    def none(cls, blocks_per_stage: Sequence[int]) -> ConnectionScheme:
        """No block connected: the bare backbone."""
        return cls._constant(False, _check_layout(blocks_per_stage))

    @classmethod
    def every(cls, blocks_per_stage: Sequence[int]) -> Iterator[ConnectionScheme]:
        """Every scheme of a layout, one at a time: 2^n of n blocks, counted up, so that neighbours agree on their first bits.

        Raises:
            ValueError: if the layout is none.

        >>> [str(scheme) for scheme in ConnectionScheme.every((1, 1))]
        ['0 0', '0 1', '1 0', '1 1']
        """
        layout = _check_layout(blocks_per_stage)
        return (cls.from_mask(mask, layout) for mask in product((False, True), repeat=sum(layout)))

    @classmethod
    def _constant(cls, connected: bool, layout: tuple[int, ...]) -> ConnectionScheme:
        return cls(tuple((connected,) * count for count in layout))

    # -- other spellings out -------------------------------------------------------------------

    def __str__(self) -> str:
        return ' '.join(''.join('01'[bit] for bit in stage) for stage in self.stages)

    def __repr__(self) -> str:
        return f"ConnectionScheme.from_string('{self}')"

    @property
    def mask(self) -> np.ndarray:
        """One boolean per block, (num_connections,); a new array each time."""
        return np.array([bit for stage in self.stages for bit in stage], dtype=bool)

    @property
    def codes(self) -> tuple[int, ...]:
        """One decimal code per stage; its most significant bit is the stage's first block."""
        return tuple(int(group, 2) for group in str(self).split(' '))

    # -- counts --------------------------------------------------------------------------------

    @property
    def blocks_per_stage(self) -> tuple[int, ...]:
        """How many blocks each stage has."""
        return tuple(len(stage) for stage in self.stages)

    @property
    def connected_per_stage(self) -> tuple[int, ...]:
        """How many blocks of each stage are connected."""
        return tuple(sum(stage) for stage in self.stages)

    @property
    def num_connections(self) -> int:
        """How many bits there are."""
        return sum(self.blocks_per_stage)

    @property
    def num_connected(self) -> int:
        """How many bits are on."""
        return sum(self.connected_per_stage)

    @property
    def density(self) -> float:
        """Share of the bits that are on, in [0, 1]."""
        return self.num_connected / self.num_connections

    @property
    def sparsity(self) -> float:
        """Share of the bits that are off, in [0, 1]."""
        return 1 - self.density


def _check_layout(blocks_per_stage: Sequence[int]) -> tuple[int, ...]:
    layout = tuple(blocks_per_stage)
    whole = (isinstance(c, int | np.integer) and not isinstance(c, bool) and c > 0 for c in layout)
    if not layout or not all(whole):
        raise ValueError(f'`blocks_per_stage` must be positive whole numbers, but got {shorten(blocks_per_stage)}.')
    return tuple(int(count) for count in layout)


def _check_bit(value: object, index: int) -> bool:
    if not isinstance(value, bool | int | np.bool_ | np.integer) or value not in (0, 1):
        raise ValueError(f'`mask` must hold booleans, 0 or 1, but got {shorten(value)} at index {index}.')
    return bool(value)


def _spell(counts: Sequence[int]) -> str:
    return '/'.join(str(count) for count in counts) if len(counts) <= 20 else f'{sum(counts)} in all'
