"""What a section is made of: values that the template draws, each by the macro that its ``kind`` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from .plots import Bars, Heat, Plot


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: plain.
        style: 'plain', 'big', 'note' or 'warning'.
    """

    kind: ClassVar[str] = 'text'
    text: str
    style: str = 'plain'


@dataclass(frozen=True)
class Verdict:
    """The sentence that the page begins with.

    Attributes:
        mark: a sign, for those who see no colour.
        word: the verdict in short.
        sentence: the verdict in full.
        style: 'good', 'bad' or 'open'.
    """

    kind: ClassVar[str] = 'verdict'
    mark: str
    word: str
    sentence: str
    style: str


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        headers: of the columns.
        rows: cells as text, as many as headers.
        caption: what it shows.
        marked: which rows to point out.
        words: which columns hold words or bits instead of numbers.
    """

    kind: ClassVar[str] = 'table'
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ''
    marked: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Code:
    """Commands.

    Attributes:
        lines: what each does, and the command.
    """

    kind: ClassVar[str] = 'code'
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and what it is.

    Attributes:
        pairs: in the order of reading.
    """

    kind: ClassVar[str] = 'facts'
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """An image in the page.

    Attributes:
        source: a data URI.
        alt: what it shows.
        caption: below it.
        is_pixelated: whether its pixels are meant to be seen.
    """

    source: str
    alt: str
    caption: str = ''
    is_pixelated: bool = False


@dataclass(frozen=True)
class Pictures:
    """Images in rows of equal length.

    Attributes:
        headers: of the columns.
        pictures: row by row.
    """

    kind: ClassVar[str] = 'pictures'
    headers: Sequence[str]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Block:
    """One residual block of a diagram.

    Attributes:
        is_on: whether it is connected.
        tint: 0 to 1, how strongly to fill it; None where nothing is known.
        value: the number behind the tint.
        title: everything known about it.
    """

    is_on: bool
    tint: float | None
    value: str
    title: str


@dataclass(frozen=True)
class Diagram:
    """A scheme, stage by stage.

    Attributes:
        stages: a name and its blocks.
        caption: what the tint is.
    """

    kind: ClassVar[str] = 'diagram'
    stages: Sequence[tuple[str, Sequence[Block]]]
    caption: str = ''


Part = Text | Verdict | Table | Code | Facts | Pictures | Diagram | Plot | Bars | Heat


@dataclass(frozen=True)
class Section:
    """A chapter of the page.

    Attributes:
        key: its anchor.
        title: its heading.
        parts: what stands below it.
    """

    key: str
    title: str
    parts: Sequence[Part] = field(default_factory=tuple)
