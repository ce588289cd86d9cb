"""The page comes whatever the files are, says what it lacks, and runs and loads nothing."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ean_mm.report import build_report
from ean_mm.report.page import CHAPTERS

SCRIPT = '<script>alert(1)</script>'
VOID = {'meta', 'img', 'link', 'br', 'input'}
# file -> the chapters that need it; of several files, the one without which nothing is left of a chapter
NEEDED = {
    'verdict.json': ['Verdict', 'Controls'],
    'results.json': ['Key numbers'],
    'search.jsonl': ['Search history'],
    'front.json': ['Front and best scheme of each size'],
    'effects.json': ['Why this ticket'],
    'comparison.json': ['Trained from scratch'],
    'fidelity.json': ['Does the supernet rank truly?'],
    'ratios.json': ['Random schemes by share of connections'],
    'seeds.json': ['Other seeds'],
    'activation_maps.npz': ['What the networks look at'],
    'timing.jsonl': ['What the strategy came to believe', 'What was computed, and what was saved'],
}


class Page(HTMLParser):
    """What a test asks of a page: its tags, balanced, its headings and its text."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.headings, self.words = [], [], [], []
        self.feed(path.read_text(encoding='utf-8'))
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and re.fullmatch('h[1-6]', self.open[-1]):
            self.headings.append((self.open[-1], data))

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ' '.join(self.words))

    @property
    def titles(self):
        return [text for level, text in self.headings if level == 'h2']


def missing_line(page):
    return page.text.partition('Not in this report')[2]


def test_all_chapters_stand_in_order(work_dir):
    path = build_report(work_dir)
    page = Page(path)
    assert path == work_dir / 'report.html'
    assert page.headings == [('h1', 'demo'), *(('h2', chapter.title) for chapter in CHAPTERS)]
    assert not missing_line(page)
    assert 'This section is missing' not in page.text


def test_the_verdict_comes_first(work_dir, example):
    text = Page(build_report(work_dir)).text
    sentence = example.verdict()['sentence']
    assert text.index('Better than random') < text.index(sentence) < text.index('What this does not cover')
    assert text.index('What this does not cover') < text.index('Stage 1')


def test_it_is_one_file_that_loads_nothing(work_dir):
    page = Page(build_report(work_dir))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {'script', 'link', 'iframe', 'object', 'embed', 'form', 'base'}
    attributes = [(name, value or '') for _, given in page.tags for name, value in given.items()]
    assert all(value.startswith('data:image/png;base64,') for name, value in attributes if name == 'src')
    assert all(value.startswith('#') for name, value in attributes if name == 'href')
    assert not [name for name, _ in attributes if name.startswith('on')]
    styles = (work_dir / 'report.html').read_text().partition('<style>')[2].partition('</style>')[0]
    assert 'url(' not in styles
    assert '@import' not in styles
    policy = next(given['content'] for tag, given in page.tags if given.get('http-equiv'))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_what_is_seen_is_also_said(work_dir):
    tags = Page(build_report(work_dir)).tags
    assert all(given['alt'] for tag, given in tags if tag == 'img')
    assert all(given['aria-label'] for tag, given in tags if given.get('role') == 'img')
    blocks = [given['aria-label'] for tag, given in tags if tag == 'svg' and given.get('class') == 'block']
    assert blocks[0].startswith('block 1.1, connected, 0.98, map 16 x 32 x 32, attention 64 MACs')
    assert blocks[1].startswith('block 1.2, not connected, 0.02')
    identifiers = [given['id'] for _, given in tags if 'id' in given]
    assert len(identifiers) == len(set(identifiers))


def test_the_same_files_give_the_same_page(work_dir):
    first = build_report(work_dir).read_bytes()
    assert build_report(work_dir).read_bytes() == first
    assert not list(work_dir.glob('.report.html*'))


# -- what is missing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('name', 'titles'), NEEDED.items())
def test_a_missing_file_takes_its_section_along(work_dir, name, titles):
    (work_dir / name).unlink()
    page = Page(build_report(work_dir))
    assert page.titles == [chapter.title for chapter in CHAPTERS if chapter.title not in titles]
    for chapter in CHAPTERS:
        assert (f'{chapter.title} ( {chapter.tool} )' in missing_line(page)) == (chapter.title in titles)


def test_an_empty_folder_has_a_page(tmp_path):
    page = Page(build_report(tmp_path))
    assert page.titles == ['Do it again', 'Words']
    assert missing_line(page).count(';') == len(CHAPTERS) - 3


def test_a_search_of_an_earlier_version_has_a_page(work_dir):
    kept = {'search.jsonl', 'timing.jsonl', 'results.json', 'ticket.json', 'retrain.py'}
    for path in work_dir.iterdir():
        if path.name not in kept:
            path.unlink()
    lines = [json.loads(line) for line in (work_dir / 'timing.jsonl').read_text().splitlines()]
    keys = ('step', 'time', 'seconds', 'scoring', 'proposals', 'scored', 'distinct')
    text = ''.join(json.dumps({key: line[key] for key in keys}) + '\n' for line in lines)
    (work_dir / 'timing.jsonl').write_text(text)
    page = Page(build_report(work_dir))
    assert {'Ticket', 'Key numbers', 'Search history', 'Environment'} <= set(page.titles)


@pytest.mark.parametrize('kind', ['missing', 'file'])
def test_what_is_no_folder_is_refused(tmp_path, kind):
    path = tmp_path / 'run'
    if kind == 'file':
        path.write_text('')
    with pytest.raises(ValueError, match=r'`work_dir` must be a folder, but got .*run'):
        build_report(path)


# -- what is damaged ---------------------------------------------------------------------------------------------------


def damage(path, how):
    content = path.read_bytes()
    if how == 'half':
        path.write_bytes(content[: len(content) // 2].rstrip() + (b'\n' if path.suffix == '.jsonl' else b''))
    elif how == 'folder':
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {'empty': b'\n', 'bytes': b'\xff\xfe\x00\n', 'list': b'[]\n', 'number': b'{"metric": NaN}\n'}[how]
        )


FILES = (*NEEDED, 'ticket.json', 'latency.json', 'costs.json', 'atlas.csv')
DAMAGES = [(name, how) for name in FILES for how in ('half', 'folder')]
DAMAGES += [(name, how) for name in ('verdict.json', 'search.jsonl') for how in ('empty', 'bytes', 'list', 'number')]


@pytest.mark.parametrize(('name', 'how'), DAMAGES)
def test_a_damaged_file_costs_its_section_and_no_other(work_dir, name, how):
    if name == 'atlas.csv':
        (work_dir / name).write_text('scheme,reward\n101 001 010,1.0\n' * 30)
    damage(work_dir / name, how)
    page = Page(build_report(work_dir))
    assert page.titles == [chapter.title for chapter in CHAPTERS]
    costs = ['What each block costs']
    others = {'ticket.json': ['Ticket', 'Environment'], 'latency.json': costs, 'costs.json': costs, 'atlas.csv': []}
    assert page.text.count('This section is missing') == len((NEEDED | others)[name])
    assert f'`{name}' in page.text or repr(str(work_dir / name)) in page.text


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('verdict.json', dict(ticket='101 1')),
        ('effects.json', dict(scheme='101 1')),
        ('effects.json', dict(flips=[dict(bit=9, on=True, difference=1.0)])),
        ('latency.json', dict(sites_ms=[0.1, 0.2])),
        ('seeds.json', dict(keep=[1.0])),
        ('costs.json', dict(costs=dict(macs=dict(bare=1, bits=[1])))),
        ('front.json', dict(front=['111'])),
        ('ratios.json', dict(rows=[dict(num_connected=1, mean=1.0, schemes=[dict(scheme='1', mean=1.0)])])),
        ('comparison.json', dict(rows=[dict(name='a', schemes=['1'], values=[], mean=1.0)])),
        ('fidelity.json', dict(schemes=[dict(scheme='1', stand_alone=[1.0])])),
        ('results.json', dict(rows=[dict(name='none', scheme='1')])),
    ],
)
def test_a_file_of_another_search_is_refused(work_dir, example, name, change):
    content = getattr(example, name.removesuffix('.json'))() | change
    example.write_json(work_dir / name, content)
    text = Page(build_report(work_dir)).text
    assert 'This section is missing: `' in text
    assert name in text.partition('This section is missing')[2]


@pytest.mark.parametrize(
    'change', [dict(images=np.zeros((4, 8, 8), np.uint8)), dict(maps=np.full((3, 4, 32, 32), np.nan)), dict(names=0)]
)
def test_maps_of_another_shape_are_refused(work_dir, example, change):
    np.savez(work_dir / 'activation_maps.npz', **(example.maps() | change))
    assert '`activation_maps.npz` must hold' in Page(build_report(work_dir)).text


def test_arrays_of_objects_are_not_unpickled(work_dir, example):
    np.savez(work_dir / 'activation_maps.npz', **(example.maps() | dict(names=np.array([{}, 1, 2], dtype=object))))
    assert '`activation_maps.npz` must hold class-activation maps' in Page(build_report(work_dir)).text


# -- what is hostile ---------------------------------------------------------------------------------------------------


def poison(value):
    """Every text in a value that can hold any, replaced."""
    if isinstance(value, dict):
        free = ('name', 'sentence', 'metric', 'device', 'latency', 'ticket', 'group', 'config')
        return {
            key: SCRIPT if key in free and isinstance(each, str) and not re.fullmatch('[01 ]+', each) else poison(each)
            for key, each in value.items()
        }
    return [poison(each) for each in value] if isinstance(value, list | tuple) else value


def test_every_text_is_escaped(work_dir, example, tmp_path):
    for name in ('verdict', 'results', 'latency', 'front', 'comparison', 'ratios', 'fidelity', 'seeds'):
        example.write_json(work_dir / f'{name}.json', poison(getattr(example, name)() | dict(sentences=[SCRIPT])))
    example.ticket(notes=SCRIPT).save(work_dir / 'ticket.json')
    maps = example.maps()
    np.savez(
        work_dir / 'activation_maps.npz', **(maps | dict(names=np.array([SCRIPT] * 3), truth=np.array([SCRIPT] * 4)))
    )
    lines = [json.dumps(line | dict(role=SCRIPT)) for line in example.log()[0]]
    (work_dir / 'search.jsonl').write_text('\n'.join([*lines, lines[-1], '']))
    hostile = work_dir.rename(tmp_path / SCRIPT.replace('/', '_'))
    html = build_report(hostile).read_text()
    assert '<script' not in html.lower()
    assert html.count('&lt;script&gt;alert(1)&lt;/script&gt;') > 30
    page = Page(hostile / 'report.html')
    assert page.headings[0] == ('h1', hostile.name)


def test_errors_are_escaped(work_dir, example):
    example.write_json(work_dir / 'verdict.json', example.verdict() | dict(ticket=SCRIPT, num_images=SCRIPT))
    example.write_json(work_dir / 'effects.json', dict(scheme=SCRIPT))
    html = build_report(work_dir).read_text()
    assert '<script' not in html.lower()
    assert html.count('&lt;script&gt;') >= 2


def test_commands_are_quoted(work_dir, tmp_path):
    path = work_dir.rename(tmp_path / "a b; rm -rf 'x'")
    text = Page(build_report(path)).text
    assert 'python tools/report.py ' in text
    assert "a b; rm -rf '\"'\"'x'\"'\"''" in text
