"""A table of all scores: what is read is what was written, and anything else is refused."""

from __future__ import annotations

import csv
import os
from itertools import product

import pytest
from toy_search import LAYOUT, WEIGHTS

from ean_mm.analysis.cost import Cost
from ean_mm.hooks.atlas import list_schemes, write_atlas
from ean_mm.search import Atlas, AtlasError, Evaluation, Reward
from ean_mm.structures import ConnectionScheme

SCHEMES = [ConnectionScheme.from_mask(mask, LAYOUT) for mask in product((False, True), repeat=4)]
METRICS = {scheme: 70.1 + float(scheme.mask @ WEIGHTS) / 3 for scheme in SCHEMES}


class FreeOfCharge:
    def cost(self, scheme):
        return Cost(params=1, macs=2, elementwise=3)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'atlas.csv'
    write_atlas(path, METRICS, Reward(sparsity_weight=2.0), FreeOfCharge())
    return path


def test_what_is_written_is_read_to_the_last_bit(path):
    atlas = Atlas.load(path)
    assert {scheme: atlas(scheme) for scheme in SCHEMES} == METRICS
    assert (len(atlas), atlas.blocks_per_stage) == (16, LAYOUT)
    assert list_schemes(LAYOUT) == SCHEMES


def test_rows_stand_in_the_order_in_which_a_search_ranks(tmp_path):
    metrics = {scheme: float(scheme.num_connected % 2) for scheme in reversed(SCHEMES)}
    write_atlas(tmp_path / 'atlas.csv', metrics, Reward(), FreeOfCharge())
    with open(tmp_path / 'atlas.csv') as file:
        rows = [row['scheme'] for row in csv.DictReader(file)]
    ranked = sorted((Evaluation(s, 'proposal', 0, m, m) for s, m in metrics.items()), key=lambda each: each.rank)
    assert rows == [str(evaluation.scheme) for evaluation in ranked]
    assert rows[:5] == ['00 01', '00 10', '01 00', '10 00', '01 11']


def test_the_best_counts_enough_connections_and_breaks_ties_as_a_search_does():
    atlas = Atlas(METRICS)
    assert atlas.best(Reward()) == (ConnectionScheme.from_string('10 10'), 70.1 + 6 / 3)
    # 1000 leads by 4/3 over none, 0010 by 2/3; a bonus of a point per bit left out turns that round
    assert atlas.best(Reward(sparsity_weight=8.0))[0] == ConnectionScheme.none(LAYOUT)
    assert atlas.best(Reward(sparsity_weight=8.0), min_connected=1)[0] == ConnectionScheme.from_string('10 00')
    assert atlas.best(Reward(), min_connected=4)[0] == ConnectionScheme.all(LAYOUT)
    flat = Atlas(dict.fromkeys(reversed(SCHEMES), 1.0))
    assert flat.best(Reward(), min_connected=2)[0] == ConnectionScheme.from_string('00 11')
    with pytest.raises(ValueError, match=r'`min_connected` must be at most the 4 connections, but got 5'):
        atlas.best(Reward(), min_connected=5)


def replaced(old, new):
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ('damage', 'match'),
    [
        (lambda text: '', r"it must end with a whole line, but got ''"),
        (lambda text: text[:-1], r"it must end with a whole line, but got .*1,2,3'"),
        (lambda text: text[: text.rindex('\n', 0, -1) + 1], r"must hold all 2\^4 schemes .* got 15, without '01 01'"),
        (lambda text: text.split('\n')[0] + '\n', r'`metrics` must hold every scheme of a layout, but got none'),
        (lambda text: text + text.splitlines()[-1] + '\n', r"must hold each scheme once, but got '01 01' twice"),
        (lambda text: '\n' + text, r"its first line must name 'scheme' once, but got ''"),
        (replaced('metric', 'score'), r"must name 'metric' once, but got 'scheme,connected,score,reward,params"),
        (replaced('reward', 'metric'), r"must name 'metric' once, but got 'scheme,connected,metric,metric,params"),
        (replaced('01 01,2', '01 01'), r"line 17 must have 7 cells, but got \['01 01', '68"),
        (replaced('01 01,2', '01 01,3'), r"line 17 must count the connections of '01 01', but got '3'"),
        (replaced('01 01', '01 02'), r"line 17 must hold a scheme and a number, but got '01 02' and '68"),
        (replaced('01 01,2,6', '01 01,2,x'), r"line 17 must hold a scheme and a number, but got '01 01' and 'x8"),
        (replaced('01 01,2,6', '01 01,2,nan,'), r'line 17 must have 7 cells'),
        (replaced('01 01', '0 101'), r"`metrics` must hold schemes of \(2, 2\) blocks per stage, but got '0 101'"),
        (replaced('01 01', '"01 01'), r'it must be a table of comma-separated cells, but got unexpected end'),
        (replaced('01 01', '\udcff'), r'it must be a readable file of text, but got .*invalid start byte'),
    ],
)
def test_a_damaged_table_is_refused_with_one_sentence(path, damage, match):
    damaged = damage(path.read_text())
    path.write_bytes(damaged.encode('utf-8', 'surrogateescape'))
    with pytest.raises(AtlasError, match=rf"atlas.csv' is not a usable atlas: .*{match}") as info:
        Atlas.load(path)
    assert '\n' not in str(info.value)


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf', '1e999'])
def test_a_metric_that_is_no_finite_number_is_refused(path, value):
    rows = path.read_text().splitlines()
    scheme, connected, _, *rest = rows[3].split(',')
    rows[3] = ','.join([scheme, connected, value, *rest])
    path.write_text('\n'.join(rows) + '\n')
    with pytest.raises(AtlasError, match=rf"`metrics` must be finite, but got -?(nan|inf) for '{scheme}'"):
        Atlas.load(path)


def test_a_table_of_a_large_network_is_refused_without_listing_it(path):
    path.write_text('scheme,connected,metric\n' + '0' * 4000 + ',0,1.0\n')
    with pytest.raises(AtlasError, match=r'must hold all 2\^4000 schemes .* but got 1, without'):
        Atlas.load(path)


@pytest.mark.parametrize('name', ['nowhere.csv', '.', 'a\0b'])
def test_a_table_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(AtlasError, match=r'is not a usable atlas: it must be a readable file of text, but got'):
        Atlas.load(os.fspath(tmp_path) + '/' + name)
