"""``report.html``: one page, built from whatever files a search has left."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..structures import write_atomically
from ..version import __version__
from .closing_sections import find_config, show_commands, show_environment, show_words
from .parts import Part, Section, Text
from .pictures import show_maps
from .search_sections import show_front, show_history, show_keep, show_work
from .ticket_sections import show_costs, show_numbers, show_ticket
from .truth_sections import show_comparison, show_effects, show_fidelity, show_ratios, show_seeds
from .verdict_sections import show_controls, show_verdict
from .work_files import WorkFiles, first_undamaged

REPORT_FILE = 'report.html'
SEARCH = 'tools/search.py'


@dataclass(frozen=True)
class Chapter:
    """A section to be written.

    Attributes:
        key: its anchor.
        title: its heading.
        show: makes its parts; none where its file is missing.
        tool: what would add it.
    """

    key: str
    title: str
    show: Callable[[WorkFiles], Sequence[Part]]
    tool: str = SEARCH


CHAPTERS = (
    Chapter('verdict', 'Verdict', show_verdict),
    Chapter('ticket', 'Ticket', show_ticket),
    Chapter('numbers', 'Key numbers', show_numbers),
    Chapter('history', 'Search history', show_history),
    Chapter('belief', 'What the strategy came to believe', show_keep),
    Chapter('front', 'Front and best scheme of each size', show_front),
    Chapter('effects', 'Why this ticket', show_effects),
    Chapter('controls', 'Controls', show_controls),
    Chapter('costs', 'What each block costs', show_costs),
    Chapter('from-scratch', 'Trained from scratch', show_comparison, 'tools/compare.py'),
    Chapter('fidelity', 'Does the supernet rank truly?', show_fidelity, 'tools/fidelity.py'),
    Chapter('ratios', 'Random schemes by share of connections', show_ratios, 'tools/compare.py --ratios'),
    Chapter('seeds', 'Other seeds', show_seeds, 'tools/search.py --seeds'),
    Chapter('maps', 'What the networks look at', show_maps, 'tools/search.py, for classifiers'),
    Chapter('work', 'What was computed, and what was saved', show_work),
    Chapter('environment', 'Environment', show_environment),
    Chapter('again', 'Do it again', show_commands),
    Chapter('words', 'Words', show_words),
)


def build_report(work_dir: str | os.PathLike) -> Path:
    """Write ``report.html`` into a work directory, from the files that are there.

    It is one file that needs no other and no network. A section whose file is missing is left out, and the end of the page
    says which tool would add it; a section whose file is damaged says so. No model is loaded and nothing is computed anew.

    Args:
        work_dir: of a search.

    Returns:
        The path of the page.

    Raises:
        ValueError: if ``work_dir`` is no folder.
        OSError: if the page cannot be written.
    """
    work = WorkFiles(work_dir)
    sections, missing = [], []
    for chapter in CHAPTERS:
        parts = _show(chapter, work)
        if parts:
            sections.append(Section(chapter.key, chapter.title, parts))
        else:
            missing.append(chapter)
    path = work.directory / REPORT_FILE
    write_atomically(path, _render(work, sections, missing).encode())
    return path


def _show(chapter: Chapter, work: WorkFiles) -> Sequence[Part]:
    try:
        return chapter.show(work)
    except (ValueError, OSError) as err:
        return [Text(f'This section is missing: {err}', 'warning')]


def _render(work: WorkFiles, sections: Sequence[Section], missing: Sequence[Chapter]) -> str:
    return (
        _environment()
        .get_template('report.html')
        .render(
            name=work.directory.resolve().name,
            config=find_config(work) or '',
            ticket=first_undamaged(lambda: work.ticket),
            metric=work.metric,
            sections=sections,
            missing=missing,
            version=__version__,
        )
    )


@cache
def _environment() -> Environment:
    """The templates; whatever is put into them is escaped, and a misspelt name is an error."""
    loader = PackageLoader('ean_mm.report')
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
