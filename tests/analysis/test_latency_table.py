"""A latency table recovers what connections add, on a clock that the network under test moves; no real time is asserted."""

import json
import time

import numpy as np
import pytest
import torch

from ean_mm.analysis import (
    LatencyCheck,
    LatencyTable,
    LatencyTableError,
    build_added_costs,
    describe_device,
    measure_cost,
    measure_latency_table,
)
from ean_mm.models import EANBackbone
from ean_mm.structures import BackboneFingerprint, ConnectionScheme

CPU = torch.device('cpu')
LAYOUT = (3, 2, 2)
SITES = np.array([0.5, 0.25, 1.0, 0.0, 2.0, 0.125, -0.25])


class Clock:
    """A backbone whose runs take a time that is known, in milliseconds."""

    def __init__(self, latency, layout=LAYOUT):
        self.blocks_per_stage = layout
        self.scheme = ConnectionScheme.all(layout)
        self.fingerprint = BackboneFingerprint(
            type='Toy', depth=None, blocks_per_stage=layout, channels=(8,) * len(layout)
        )
        self.attention_spec = {'type': 'ean_mm.SE', 'reduction': 4}
        self.training = False
        self.latency = latency
        self.now = 0.0
        self.ran = []

    def set_scheme(self, scheme):
        self.scheme = scheme

    def run(self):
        self.ran.append(self.scheme)
        self.now += self.latency(self.scheme.mask, len(self.ran)) / 1e3


@pytest.fixture
def measure(monkeypatch):
    def measure(clock, **arguments):
        monkeypatch.setattr(time, 'perf_counter', lambda: clock.now)
        return measure_latency_table(clock, clock.run, CPU, **arguments)

    return measure


@pytest.fixture
def logged(monkeypatch):
    texts: list[str] = []
    monkeypatch.setattr('ean_mm.analysis.latency_table.print_log', lambda text, **_: texts.append(text))
    return texts


def test_a_sum_is_recovered(measure, logged):
    clock = Clock(lambda mask, _: 4.0 + mask @ SITES)
    table = measure(clock, num_rounds=2)
    assert table.bare_ms == pytest.approx(4.0)
    assert table.sites_ms == pytest.approx(SITES.tolist(), abs=1e-9)
    assert table.added_ms == pytest.approx(3.625)
    assert max(table.errors) < 1e-9
    assert table.is_trusted
    assert logged == []
    assert clock.scheme == ConnectionScheme.all(LAYOUT)


@pytest.mark.parametrize('n', range(1, 20))
def test_every_number_of_sites(measure, logged, n):
    sites = 0.1 * np.arange(1, n + 1)
    table = measure(Clock(lambda mask, _: 3.0 + mask @ sites, layout=(n,)), num_rounds=1)
    assert table.sites_ms == pytest.approx(sites.tolist())
    assert len(table.check) > 0


def test_a_disturbance_now_and_then_changes_nothing(measure, logged):
    clock = Clock(lambda mask, run: (4.0 + mask @ SITES) * (20.0 if run % 7 == 0 else 1.0))
    table = measure(clock, num_rounds=11)
    assert table.sites_ms == pytest.approx(SITES.tolist(), abs=1e-9)


def test_a_pair_that_costs_more_together_counts_half_with_each(measure, logged):
    """As an attention whose first call in a stage costs less than the later ones; no other site is blamed."""
    table = measure(Clock(lambda mask, _: 4.0 + mask @ SITES + 0.5 * (mask[0] & mask[1])), num_rounds=1)
    expected = SITES + 0.25 * np.array([1, 1, 0, 0, 0, 0, 0])
    assert table.sites_ms == pytest.approx(expected.tolist(), abs=1e-9)
    assert 0 < max(table.added_errors) < 0.1


def test_the_design_knows_a_site_better_than_single_sites_would(measure, logged):
    errors = []
    for seed in range(20):
        noise = np.random.default_rng(seed)
        table = measure(Clock(lambda mask, _, noise=noise: 9.0 + mask @ SITES + noise.normal(0, 0.1)), num_rounds=1)
        errors.append(np.subtract(table.sites_ms, SITES))
    deviation = np.sqrt(np.square(errors).mean())
    # sigma * sqrt(2 / N) with N = 8; one site against none would be at 0.141
    assert deviation == pytest.approx(0.1 * np.sqrt(2 / 8), rel=0.2)


def test_a_table_that_does_not_predict_warns(measure, logged):
    table = measure(Clock(lambda mask, run: 4.0 + mask @ SITES + (run * 7919 % 13)), num_rounds=1)
    assert not table.is_trusted
    (text,) = logged
    assert text.startswith('Latency of one image on CPU, ')
    assert 'too coarse to choose by: measure on a quiet machine' in text


def test_a_latency_that_nothing_adds_to_is_not_trusted(measure, logged):
    table = measure(Clock(lambda mask, _: 4.0 - 0.1 * mask.sum()), num_rounds=1)
    assert (table.added_errors, table.is_trusted) == ([], False)
    assert 'too little to be told apart' in logged[0]


def test_schemes_take_turns_and_the_checks_are_others(measure, logged):
    clock = Clock(lambda mask, _: 4.0 + mask @ SITES)
    table = measure(clock, num_rounds=3, num_checks=5)
    once = clock.ran[: len(clock.ran) // 5]
    assert clock.ran == once * 5
    assert len(set(once)) == len(once) == 2 * 8 + 5
    assert {each.scheme for each in table.check} == set(once[-5:])
    assert ConnectionScheme.none(LAYOUT) in once[:-5]
    assert ConnectionScheme.all(LAYOUT) in once[:-5]


def test_wrong_arguments(measure):
    clock = Clock(lambda mask, _: 4.0)
    with pytest.raises(ValueError, match=r'`num_rounds` must be a whole number of at least 1, but got 0\.'):
        measure(clock, num_rounds=0)
    with pytest.raises(ValueError, match=r'`num_checks` must be a whole number of at least 1, but got 0\.'):
        measure(clock, num_checks=0)
    clock.training = True
    with pytest.raises(ValueError, match=r'`backbone` must be in evaluation mode, but got one in training mode; call'):
        measure(clock)


# -- a real network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('attention', ['SE', 'DIA'])
def test_a_real_network(tmp_path, monkeypatch, attention):
    monkeypatch.setattr('ean_mm.analysis.latency_table.print_log', lambda *_, **__: None)
    net = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=20), dict(type=f'ean_mm.{attention}', reduction=4)).eval()
    image = torch.zeros(1, 3, 16, 16)
    net.set_scheme('100 010 001')
    table = measure_latency_table(net, lambda: net(image), CPU, num_rounds=1, num_checks=2)
    assert str(net.scheme) == '100 010 001'
    assert len(table.sites_ms) == 9
    table.require_for(net)
    other = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=20), dict(type='ean_mm.SGE', groups=4))
    with pytest.raises(
        LatencyTableError, match=r"must be measured with ResNetCifar, .*'ean_mm\.SGE'.*, but got ResNetCifar"
    ):
        table.require_for(other)
    costs = build_added_costs(measure_cost(net, net, lambda: net(image)), table)
    counted = measure_cost(net, net, lambda: net(image))
    schemes = [each.scheme for each in table.check]
    masks = np.stack([scheme.mask for scheme in schemes])
    assert costs.of('params', masks).tolist() == [counted.cost(scheme).params for scheme in schemes]
    assert costs.of('macs', masks).tolist() == [counted.cost(scheme).macs for scheme in schemes]
    assert costs.of('elementwise', masks).tolist() == [counted.cost(scheme).elementwise for scheme in schemes]
    assert costs.of('latency', masks).tolist() == pytest.approx([table.predict(scheme) for scheme in schemes])
    assert 'latency' not in build_added_costs(counted)


# -- the file ----------------------------------------------------------------------------------------------------------

TABLE = LatencyTable(
    device='CPU, 1 threads',
    backbone='Toy, blocks 1/2, channels 8/8',
    attention={'type': 'ean_mm.SE', 'reduction': 4},
    bare_ms=4.0,
    sites_ms=(0.5, 0.25, -0.25),
    num_rounds=10,
    check=(
        LatencyCheck(ConnectionScheme.from_string('1 10'), 5.0),
        LatencyCheck(ConnectionScheme.from_string('0 11'), 4.0),
        LatencyCheck(ConnectionScheme.from_string('1 11'), 4.4),
    ),
)


def test_the_file_says_what_the_report_reads(tmp_path):
    TABLE.save(tmp_path / 'latency.json')
    fields = json.loads((tmp_path / 'latency.json').read_text())
    assert fields['check'][0] == {'scheme': '1 10', 'measured_ms': 5.0, 'predicted_ms': 4.75}
    assert (fields['num_images'], fields['bare_ms'], fields['sites_ms']) == (1, 4.0, [0.5, 0.25, -0.25])
    assert fields['median_error'] == pytest.approx(0.1 / 4.4)
    assert fields['largest_error'] == pytest.approx(0.05)
    assert fields['median_added_error'] == pytest.approx(0.2)
    assert fields['largest_added_error'] == pytest.approx(0.5)
    assert LatencyTable.load(tmp_path / 'latency.json') == TABLE


def test_the_sentence():
    assert TABLE.describe() == (
        'Latency of one image on CPU, 1 threads: 4 ms bare, all connections add 0.5 ms; 3 random schemes are predicted to '
        '20% of that (median; 50% at worst), or 2.3% of their latency (5.0%).'
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(format='ean_mm.ticket'), r"`format` must be 'ean_mm\.latency', but got 'ean_mm\.ticket'\."),
        (dict(version=True), r'`version` must be 1, but got True\.'),
        (dict(num_images=32), r'`num_images` must be 1, but got 32\.'),
        (dict(sites_ms='none'), r"`sites_ms` must be of type list, but got 'none'\."),
        (dict(sites_ms=[0.5, None, 1.0]), r'`sites_ms` must be finite numbers, but got None\.'),
        (dict(bare_ms=-1.0), r'`bare_ms` must be a positive number, but got -1\.0\.'),
        (dict(num_rounds=0), r'`num_rounds` must be a whole number of at least 1, but got 0\.'),
        (dict(check=[]), r'`check` must hold schemes of 3 bits, but got \[\]\.'),
        (dict(check=[3]), r'`check` must hold objects, but got 3\.'),
        (dict(check=[dict(scheme='1 1', measured_ms=4.0, predicted_ms=4.0)]), r'`check` must hold schemes of 3 bits'),
        (dict(check=[dict(scheme='1 x')]), r"`scheme` must hold '0', '1' and single spaces"),
        (dict(bare_ms=4.5), r'`check` must agree with the others, but got'),
        (dict(median_error=0.0), r'`median_error` must agree with the others, but got 0\.0\.'),
        (dict(comment='mine'), r"`comment` must agree with the others, but got 'mine'\."),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, change, message):
    path = tmp_path / 'latency.json'
    TABLE.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(LatencyTableError, match=message):
        LatencyTable.load(path)


def test_no_file_is_refused(tmp_path):
    with pytest.raises(
        LatencyTableError, match=r"`latency_table` must be a file that a search has measured, but got '.*': "
    ):
        LatencyTable.load(tmp_path / 'latency.json')


def test_the_name_of_the_device():
    assert describe_device(CPU) == f'CPU, {torch.get_num_threads()} threads'
