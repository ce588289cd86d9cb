"""Is the ticket better than chance? The first page's sentence, and the schemes it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from .parts import Part, Table, Text, Verdict
from .plots import Axis, Bar, Bars, Plot, Series
from .records import Verdict as VerdictRecord
from .wording import DASH, digits_for, spell_count, spell_interval
from .work_files import WorkFiles, first_undamaged

WORDS = {
    'better': ('✓', 'Better than random', 'good'),
    'worse': ('✗', 'Worse than random', 'bad'),
    'not distinguishable': ('≈', 'Not distinguishable from random', 'open'),
    'no random schemes': ('∅', 'No random schemes to compare with', 'open'),
}


def show_verdict(work: WorkFiles) -> Sequence[Part]:
    """The verdict, the differences behind it, and what it does not cover."""
    verdict = work.verdict
    if verdict is None:
        return []
    work.require_layout('verdict.json', verdict.ticket, *(control.scheme for control in verdict.controls))
    parts: list[Part] = [Verdict(*WORDS[verdict.verdict][:2], verdict.sentence, WORDS[verdict.verdict][2])]
    parts += [Text(sentence) for sentence in verdict.sentences]
    parts += _draw_differences(verdict)
    parts.append(Text(_describe_limits(verdict), 'note'))
    return parts


def _draw_differences(verdict: VerdictRecord) -> list[Part]:
    known = [each for each in verdict.comparisons if each.difference is not None]
    if not known:
        return []
    digits = digits_for([control.metric for control in verdict.controls])
    bars = [
        Bar(
            name=_name_difference(each.name, verdict.num_random),
            value=each.difference or 0.0,
            low=each.low,
            high=each.high,
            text=spell_interval(each.difference, each.low, each.high, digits),
            dots=[] if each.chosen_difference is None else [each.chosen_difference],
            is_marked=each.name == 'random',
        )
        for each in known
    ]
    header = f'difference in {verdict.metric}'
    caption = f'The ticket less each control, with {100 * verdict.confidence:g} % intervals'
    if any(bar.dots for bar in bars):
        caption += '; small dot: on the very images that chose the ticket, which flatters it'
    return [Bars.around(caption, header, bars, zero=0.0)]


def _name_difference(name: str, num_random: int) -> str:
    return f'random (mean of {num_random})' if name == 'random' else name


def _describe_limits(verdict: VerdictRecord) -> str:
    return (
        f'What this does not cover: the intervals say how much hangs on the choice of the {spell_count(verdict.num_images)} '
        'reward images, and on nothing else. The scores are those of one shared supernet, not of networks trained alone; '
        'another seed of the supernet may rank otherwise. Networks trained from scratch are compared below where that was '
        'done, and by tools/compare.py where it was not.'
    )


# -- controls ----------------------------------------------------------------------------------------------------------


def show_controls(work: WorkFiles) -> Sequence[Part]:
    """The ticket among the schemes that nobody searched: a picture and a table."""
    verdict = work.verdict
    if verdict is None or not verdict.controls:
        return []
    work.require_layout('verdict.json', verdict.ticket, *(control.scheme for control in verdict.controls))
    scores = first_undamaged(lambda: work.scores) or ()
    ticket = next((score for score in scores if score.scheme == verdict.ticket and score.is_full), None)
    rows = [(c.name, str(c.scheme), c.num_connected, c.metric, c.reward) for c in verdict.controls]
    if ticket is not None and ticket.metric is not None:
        scheme = verdict.ticket
        rows.append(('ticket', str(scheme), scheme.num_connected, ticket.metric, ticket.reward))
    rows.sort(key=lambda row: -row[3])
    digits = digits_for([row[3] for row in rows])
    cells = [
        (name, bits, str(connected), f'{metric:.{digits}f}', DASH if reward is None else f'{reward:.{digits}f}')
        for name, bits, connected, metric, reward in rows
    ]
    marked = frozenset(index for index, row in enumerate(rows) if row[0] == 'ticket')
    headers = ('scheme', 'bits', 'connected', verdict.metric, 'reward')
    table = Table(headers, cells, 'Best metric first', marked, words=frozenset({1}))
    text = Text(
        'Schemes that no strategy has chosen, scored like any other. Their scores are those on all reward images; the '
        "ticket's is flattered by having been chosen on them, which the differences at the top are not."
    )
    return [text, *_draw_strip(verdict.metric, [(row[0], row[3]) for row in rows]), table]


def _draw_strip(metric: str, scores: list[tuple[str, float]]) -> list[Plot]:
    is_random = [name.startswith('random') for name, _ in scores]
    names = [name for (name, _), hidden in zip(scores, is_random, strict=True) if not hidden]
    if not any(is_random):
        return []
    lines = [*names, 'random']
    places = {name: float(len(lines) - index) for index, name in enumerate(lines)}
    axis = Axis('', 0.4, len(lines) + 0.6, [(place, name) for name, place in places.items()])
    series = [
        Series(
            '',
            name if name in ('none', 'all', 'ticket') else 'random' if name == 'random' else 'scheme',
            [
                (value, places[name])
                for each, value in scores
                if each == name or (name == 'random' and 'random' in each)
            ],
            [f'{each}: {value:g}' for each, value in scores if each == name or (name == 'random' and 'random' in each)],
        )
        for name in lines
    ]
    values = [value for _, value in scores]
    chance = [value for (_, value), hidden in zip(scores, is_random, strict=True) if hidden]
    alt = f'{metric} of {len(chance)} random schemes, from {min(chance):g} to {max(chance):g}; '
    alt += ', '.join(f'{name} {value:g}' for name, value in scores if name in names) + '.'
    return [Plot('Each control, and the ticket', alt, Axis.around(metric, values), axis, series)]
