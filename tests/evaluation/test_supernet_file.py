"""The supernet file: read without running code, never with a changed byte."""

import os
import pickle

import pytest
import torch

from ean_mm.evaluation import SupernetError, load_supernet, save_supernet

WEIGHTS = {'conv.weight': torch.arange(6.0).reshape(2, 3), 'bn.num_batches_tracked': torch.tensor(7)}


@pytest.fixture
def path(tmp_path):
    save_supernet(tmp_path / 'supernet.pth', WEIGHTS, {'model': 'small'})
    return tmp_path / 'supernet.pth'


def test_round_trip(path):
    supernet = load_supernet(path)
    assert supernet.identity == {'model': 'small'}
    assert all(torch.equal(supernet.state_dict[key], value) for key, value in WEIGHTS.items())


def test_loads_with_no_extra_globals(path):
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    assert torch.load(path, weights_only=True)['meta']['format'] == 'ean_mm.supernet'


def test_digest_tells_values_shapes_types_and_names_apart(tmp_path):
    variants = [
        WEIGHTS,
        {**WEIGHTS, 'conv.weight': WEIGHTS['conv.weight'] + 1},
        {**WEIGHTS, 'conv.weight': WEIGHTS['conv.weight'].reshape(3, 2)},
        {**WEIGHTS, 'conv.weight': WEIGHTS['conv.weight'].double()},
        {'other.weight': WEIGHTS['conv.weight'], 'bn.num_batches_tracked': torch.tensor(7)},
    ]
    digests = set()
    for weights in variants:
        save_supernet(tmp_path / 'x.pth', weights, {})
        digests.add(load_supernet(tmp_path / 'x.pth').sha256)
    assert len(digests) == len(variants)


def test_plain_checkpoints_have_no_identity(tmp_path):
    torch.save({'state_dict': WEIGHTS}, tmp_path / 'plain.pth')
    supernet = load_supernet(tmp_path / 'plain.pth')
    assert supernet.identity == {}
    assert len(supernet.sha256) == 64


def test_every_flipped_bit_of_a_weight_is_noticed(path):
    content = bytearray(path.read_bytes())
    start = content.find(WEIGHTS['conv.weight'].numpy().tobytes())
    for offset in range(24):
        damaged = bytearray(content)
        damaged[start + offset] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(SupernetError):
            load_supernet(path)


@pytest.mark.parametrize('length', [0, 10, 100, -1])
def test_a_truncated_file_is_refused(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SupernetError, match='`supernet` must be'):
        load_supernet(path)


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize('legacy', [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, legacy):
    marker, path = tmp_path / 'was_run', tmp_path / 'bad.pth'
    content = {'state_dict': WEIGHTS, 'meta': Attack(str(marker))}
    if legacy:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(SupernetError, match='`supernet` must'):
        load_supernet(path)
    assert not marker.exists()


def test_the_refused_global_and_the_way_out_are_named(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'meta': Attack('nothing')}, tmp_path / 'bad.pth')
    with pytest.raises(SupernetError, match=r'needs .*mkdir; pass --trust-checkpoint'):
        load_supernet(tmp_path / 'bad.pth')


def test_a_trusted_checkpoint_is_read(tmp_path):
    path = tmp_path / 'full.pth'
    torch.save({'state_dict': WEIGHTS, 'meta': {'time': pytest.approx(1)}}, path)
    with pytest.raises(SupernetError, match='--trust-checkpoint'):
        load_supernet(path)
    assert load_supernet(path, trust_checkpoint=True).identity == {}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'weights': WEIGHTS}, "must hold a 'state_dict'"),
        ([1, 2], "must hold a 'state_dict', but got .* with list"),
        (
            {'state_dict': WEIGHTS, 'meta': {'format': 'ean_mm.supernet', 'version': 2}},
            'must be of version 1, but got 2',
        ),
    ],
)
def test_foreign_files_are_named(tmp_path, content, message):
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(SupernetError, match=message):
        load_supernet(tmp_path / 'x.pth')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SupernetError, match='`supernet` must be a file, but got'):
        load_supernet(tmp_path / 'nowhere.pth')
