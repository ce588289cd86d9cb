"""A work directory as a search leaves it, with numbers made up after a landscape of nine blocks."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket

LAYOUT = (3, 3, 3)
TICKET = '101 001 010'
GAIN = np.array([4.0, -0.9, 2.5, -0.8, -0.7, 2.0, -1.1, 1.8, -1.0])


def spell(mask):
    return str(ConnectionScheme.from_mask(np.asarray(mask, bool), LAYOUT))


def metric_of(mask):
    """Every block helps or hurts, the first and the third help each other, and there is a little noise."""
    mask = np.asarray(mask, bool)
    noise = np.random.default_rng([7, *mask.astype(int)]).normal(0, 0.25)
    return round(float(85 + GAIN @ mask + 1.2 * mask[0] * mask[2] + noise), 2)


def score(mask, role, step=None):
    metric = metric_of(mask)
    reward = round(metric + 1 - float(np.mean(mask)), 4)
    return dict(step=step, role=role, scheme=spell(mask), num_connected=int(sum(mask)), metric=metric, reward=reward)


def bits(text):
    return np.array([letter == '1' for letter in text.replace(' ', '')])


CONTROLS = {
    'none': bits('000 000 000'),
    'all': bits('111 111 111'),
    'last stage': bits('000 000 111'),
    'every other': bits('101 010 101'),
}


def interval(value, half):
    return dict(low=round(value - half, 3), high=round(value + half, 3))


def random_masks(num=20):
    generator = np.random.default_rng(3)
    size = int(bits(TICKET).sum())
    drawn = dict.fromkeys(tuple(generator.permutation(9) < size) for _ in range(400))
    return [np.array(mask) for mask in drawn if spell(mask) != TICKET][:num]


def log():
    lines = [score(mask, 'control') for mask in CONTROLS.values()]
    generator, keep = np.random.default_rng(0), np.full(9, 0.5)
    seen, timings = {line['scheme'] for line in lines}, []
    work = dict(num_schemes=0, block_images=0, naive_block_images=0, peak_bytes=210_000_000, remembered=0, dropped=0)
    for step in range(40):
        masks = generator.random((4, 9)) < keep
        if step == 25:
            masks[0] = bits(TICKET)
        new = [mask for mask in {spell(mask): mask for mask in masks}.values() if spell(mask) not in seen]
        for mask in new:
            seen.add(spell(mask))
            line = score(mask, 'proposal', step)
            if step > 8 and line['metric'] < 88:
                line['num_images'], work['dropped'] = 800, work['dropped'] + 1
            lines.append(line)
        keep = np.clip(keep + 0.03 * np.sign(bits(TICKET) - 0.5) * generator.random(9), 0.02, 0.98)
        work['block_images'] += 9000 * len(new)
        work['naive_block_images'] += 27000 * len(new)
        timings.append(
            dict(
                step=step,
                time=1.7953e9 + 4 * step,
                seconds=4.1,
                scoring=3.8,
                proposals=4,
                scored=len(new),
                distinct=len(lines),
                keep=[round(float(p), 4) for p in keep],
                **work,
            )
        )
    ticket = bits(TICKET)
    flips = [ticket ^ (np.arange(9) == bit) for bit in range(9)]
    probes = [mask for mask in flips if spell(mask) not in seen]
    lines += [score(mask, 'probe') for mask in probes]
    seen |= {spell(mask) for mask in probes}
    lines += [score(mask, 'random') for mask in random_masks() if spell(mask) not in seen]
    return lines, timings


def verdict():
    names = [*CONTROLS.items(), *((f'random {i}', mask) for i, mask in enumerate(random_masks(), 1))]
    scores = [(name, score(mask, 'control')) for name, mask in names]
    keys = ('scheme', 'num_connected', 'metric', 'reward')
    controls = [dict(name=name, **{key: fields[key] for key in keys}) for name, fields in scores]
    chance = np.mean([control['metric'] for control in controls if control['name'].startswith('random')])
    others = {'random': chance, **{name: metric_of(mask) for name, mask in CONTROLS.items()}}
    differences = {name: metric_of(bits(TICKET)) - value for name, value in others.items()}
    return dict(
        metric='accuracy/top1',
        ticket=TICKET,
        num_connected=4,
        num_images=2000,
        num_random=20,
        confidence=0.95,
        num_resamples=2000,
        verdict='better',
        sentence='The ticket is better than random schemes of its size by 5.1 ± 0.6 points of accuracy/top1.',
        sentences=[
            'Against no attention: better by 11.5 points, 95 % interval from 10.1 to 12.9.',
            'Against attention everywhere: better by 2.6 points, 95 % interval from 1.7 to 3.5.',
        ],
        comparisons=[
            dict(
                name=name,
                difference=round(value - 0.2, 3),
                **interval(value - 0.2, 0.7),
                chosen_difference=round(value, 3),
                chosen_low=round(value - 0.6, 3),
                chosen_high=round(value + 0.6, 3),
            )
            for name, value in differences.items()
        ],
        controls=controls,
    )


def effects():
    ticket = bits(TICKET)
    flips = [ticket ^ (np.arange(9) == bit) for bit in range(9)]
    differences = [round(metric_of(mask) - metric_of(ticket), 3) for mask in flips]
    pairs = [(i, j, 1.2 if (i, j) == (0, 2) else 0.05 * (i - j)) for i, j in itertools.combinations(range(9), 2)]
    return dict(
        scheme=TICKET,
        num_scores=120,
        flips=[dict(bit=i, on=bool(ticket[i]), difference=d, **interval(d, 0.5)) for i, d in enumerate(differences)],
        shapley=[dict(bit=i, effect=float(g), **interval(g, 0.3)) for i, g in enumerate(GAIN)],
        pairs=[dict(bits=[i, j], effect=effect, **interval(effect, 0.2)) for i, j, effect in pairs],
    )


def results():
    named = {'none': CONTROLS['none'], 'all': CONTROLS['all'], 'ticket': bits(TICKET), 'next 1': bits('101 000 101')}
    rows = [
        dict(
            name=name,
            scheme=spell(mask),
            metric=metric_of(mask),
            reward=metric_of(mask) + 1 - float(np.mean(mask)),
            num_connected=int(sum(mask)),
            params=272_474 + 300 * int(sum(mask)),
            macs=40_813_184 + 500 * int(sum(mask)),
            latency_ms=None if name == 'next 1' else 3.01 + 0.12 * int(sum(mask)),
            elementwise=None,
        )
        for name, mask in named.items()
    ]
    shapes = [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3
    return dict(
        metric='accuracy/top1',
        scores='supernet',
        rows=rows,
        device='CPU, 1 threads',
        latency='one image, median of 20 interleaved runs',
        shapes=shapes,
        config='configs/ean/resnet20_se_digits.py',
    )


def costs():
    macs = dict(bare=40_813_184, bits=[64] * 3 + [256] * 3 + [1024] * 3, groups=[], group_costs={})
    elementwise = dict(bare=485_395, bits=[32_768] * 3 + [16_384] * 3 + [8192] * 3, groups=[], group_costs={})
    params = dict(bare=272_474, bits=[0] * 9, groups=[], group_costs=dict(stage0=82, stage1=292, stage2=1096))
    return dict(format='ean_mm.costs', version=1, costs=dict(params=params, macs=macs, elementwise=elementwise))


def latency():
    check = [
        dict(scheme=spell(mask), measured_ms=3 + 0.12 * sum(mask) + off, predicted_ms=3.0 + 0.12 * int(sum(mask)))
        for mask, off in zip(random_masks(5), (0.02, -0.05, 0.1, 0.01, -0.03), strict=True)
    ]
    sites = [0.14, 0.13, 0.15, 0.12, 0.12, 0.11, 0.1, 0.1, 0.11]
    check = [{**each, 'measured_ms': float(each['measured_ms'])} for each in check]
    return dict(
        device='CPU, 1 threads',
        num_images=1,
        bare_ms=3.01,
        sites_ms=sites,
        num_rounds=50,
        check=check,
        median_error=0.009,
        largest_error=0.029,
    )


def front():
    order = np.argsort(-GAIN)
    masks = [np.isin(np.arange(9), order[:size]) for size in range(10)]
    sizes = [
        dict(
            num_connected=size,
            scheme=spell(mask),
            metric=metric_of(mask),
            reward=metric_of(mask),
            params=272_474 + 300 * size,
            macs=40_813_184 + 500 * size,
            latency_ms=float(3.01 + mask @ np.array(latency()['sites_ms'])),
            ticket=f'tickets/connections_{size:02d}.json',
        )
        for size, mask in enumerate(masks)
    ]
    edge = sizes[:5]
    schemes = [size['scheme'] for size in edge]
    return dict(metric='accuracy/top1', best_per_size=sizes, front_cost='latency', front=schemes, front_points=edge)


def comparison():
    means = {'none': 97.9, 'all': 98.6, 'ticket': 99.2, 'random': 98.3}
    masks = {**CONTROLS, 'ticket': bits(TICKET), 'random': random_masks()[0]}
    rows = [
        dict(
            name=name,
            schemes=[spell(masks[name])],
            values=[round(mean + off, 2) for off in (-0.15, -0.05, 0.0, 0.08, 0.12)],
            mean=mean,
            **interval(mean, 0.13),
            num_connected=int(sum(masks[name])),
            params=275_302,
            macs=40_820_000,
            latency_ms=3.4,
        )
        for name, mean in means.items()
    ]
    differences = [
        dict(name=f'ticket - {name}', mean=round(99.2 - mean, 2), num_seeds=5, **interval(99.2 - mean, 0.2))
        for name, mean in means.items()
        if name != 'ticket'
    ]
    sentence = 'From scratch over 5 seeds the ticket is better than random schemes of its size by 0.90 ± 0.20.'
    return dict(metric='accuracy/top1', seeds=[0, 1, 2, 3, 4], rows=rows, differences=differences, sentence=sentence)


def fidelity():
    schemes = [
        dict(
            scheme=spell(mask),
            stand_alone=[round(metric_of(mask) * 0.2 + 80 + off, 2) for off in (-0.1, 0.1)],
            supernet=metric_of(mask),
            supernet_raw=metric_of(mask) - 30,
        )
        for mask in random_masks(12)
    ]
    tau = {
        name: dict(value=value, **interval(value, 0.15))
        for name, value in (('recalibrated', 0.71), ('raw', 0.32), ('ceiling', 0.78))
    }
    sentence = 'The supernet ranks like networks trained alone: tau 0.71, 91 % of the ceiling.'
    head = dict(metric='accuracy/top1', epochs=4, seeds=[0, 1], num_images=1000)
    return dict(**head, schemes=schemes, tau=tau, sentence=sentence)


def ratios():
    generator, rows = np.random.default_rng(5), []
    for size, num in ((0, 1), (3, 4), (6, 4), (9, 1)):
        masks = [generator.permutation(9) < size for _ in range(num)]
        schemes = [
            dict(scheme=spell(mask), values=[], mean=metric_of(mask), params=275_302, macs=40_820_000, latency_ms=3.2)
            for mask in masks
        ]
        mean = float(np.mean([scheme['mean'] for scheme in schemes]))
        rows.append(dict(ratio=size / 9, num_connected=size, schemes=schemes, mean=mean, low=None, high=None))
    return dict(metric='accuracy/top1', seeds=[0], per_ratio=4, rows=rows, sentence='Of 8 sparse schemes 3 are above.')


def seeds():
    return dict(
        seeds=[0, 1, 2],
        tickets=[TICKET, '101 001 010', '101 011 010'],
        keep=[1.0, 0.0, 1.0, 0.0, 0.3333, 1.0, 0.0, 1.0, 0.0],
        agreement=0.96,
        consensus=TICKET,
        sentence='Three policies agree on 8 of 9 blocks.',
    )


def maps():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 32), np.linspace(-1, 1, 32)), -1)
    centres = generator.uniform(-0.6, 0.6, (3, 4, 2))
    heat = np.exp(-4 * ((grid - centres[:, :, None, None]) ** 2).sum(-1)).astype(np.float32)
    predicted = np.array([['3', '5', '1', '0'], ['3', '8', '1', '0'], ['3', '8', '1', '9']])
    return dict(
        images=images,
        maps=heat,
        names=np.array(['none', 'all', 'ticket']),
        predicted=predicted,
        truth=np.array(list('3819')),
    )


def ticket(notes='Metrics are scores of the shared supernet, not of a network trained with this scheme.'):
    return Ticket(
        origin='searched',
        scheme=ConnectionScheme.from_string(TICKET),
        backbone=BackboneFingerprint(type='ResNetCifar', depth=20, blocks_per_stage=LAYOUT, channels=(16, 32, 64)),
        attention=dict(type='ean_mm.SE', reduction=4),
        sharing='stage',
        metrics={'accuracy/top1': metric_of(bits(TICKET))},
        seed=0,
        supernet_sha256='ab' * 32,
        versions={'ean_mm': '0.1', 'mmengine': '0.10.12', 'torch': '2.12.1'},
        notes=notes,
    )


FILES = {
    'verdict.json': verdict,
    'effects.json': effects,
    'results.json': results,
    'latency.json': latency,
    'costs.json': costs,
    'front.json': front,
    'comparison.json': comparison,
    'fidelity.json': fidelity,
    'ratios.json': ratios,
    'seeds.json': seeds,
}


def write_work_dir(directory):
    """Write every file that the report reads."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        write_json(directory / name, make())
    for name, lines in zip(('search.jsonl', 'timing.jsonl'), log(), strict=True):
        (directory / name).write_text(''.join(json.dumps(line) + '\n' for line in lines))
    ticket().save(directory / 'ticket.json')
    np.savez(directory / 'activation_maps.npz', **maps())
    (directory / 'retrain.py').write_text('')


def write_json(path, fields):
    path.write_text(json.dumps(fields, allow_nan=False))


@pytest.fixture(scope='session')
def made_files(tmp_path_factory):
    directory = tmp_path_factory.mktemp('made') / 'demo'
    write_work_dir(directory)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def work_dir(made_files, tmp_path):
    """A folder with every file, to be changed."""
    directory = tmp_path / 'demo'
    directory.mkdir()
    for name, content in made_files.items():
        (directory / name).write_bytes(content)
    return directory


@pytest.fixture
def example():
    """The functions that make the content of the files."""
    return SimpleNamespace(**FILES_BY_NAME, ticket=ticket, maps=maps, log=log, write_json=write_json)


FILES_BY_NAME = {name.removesuffix('.json'): make for name, make in FILES.items()}
