"""Files that compute what the model does, all of them or none."""

import builtins

import pytest
import torch
from random_networks import CIFAR, DIA, SE, build, images, largest_error, wrap
from torch import nn

from ean_mm.launch.deployment import export as package
from ean_mm.launch.deployment.export import FORMATS, digest, export
from ean_mm.launch.deployment.proof import Inference, run
from ean_mm.reparam import AcceleratedBackbone

IMAGES = [torch.cat([images(16, torch.float, seed) for seed in (1, 2)]), images(16, torch.float, 3)[:1]]
SMALL = dict(CIFAR, depth=8)
META = dict(dataset_meta=dict(classes=['a', 'b']))


class Classifier(nn.Module):
    def __init__(self, backbone, width):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(width, 2)

    def forward(self, x, data_samples=None, mode='loss'):
        return self.head(self.backbone(x)[-1].mean((2, 3)))


@pytest.fixture(scope='module')
def model():
    """No export changes it."""
    torch.manual_seed(0)
    backbone = AcceleratedBackbone.of(wrap(dict(CIFAR, depth=11, block='bottleneck'), DIA, torch.float))
    return Classifier(backbone, 128).eval()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


# -- each format, read by what would read it elsewhere -----------------------------------------------------------------------


def test_weights(model, tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    found = export(model, IMAGES, tmp_path, ['pth', 'safetensors'], META)
    content = torch.load(tmp_path / 'deployed.pth', weights_only=True)
    assert content['meta'] == META
    for weights in (content['state_dict'], safetensors.load_file(tmp_path / 'deployed.safetensors')):
        assert weights.keys() == model.state_dict().keys()
        assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert list(found) == names(tmp_path) == ['deployed.pth', 'deployed.safetensors']
    assert [agreement.max_error for agreement in found.values()] == [0.0, 0.0]
    assert found['deployed.pth'].num_images == 5


@pytest.fixture(scope='module')
def exported(model, tmp_path_factory):
    """Weights and program, checked on images of two sizes, and their folder."""
    folder = tmp_path_factory.mktemp('exported')
    return export(model, [IMAGES[1], images(32, torch.float), IMAGES[0]], folder, ['pth', 'pt2']), folder


def test_a_program_of_torch(model, exported):
    program = torch.export.load(exported[1] / 'deployed.pt2').module()
    x = torch.cat([*IMAGES, *IMAGES])  # another batch than it was exported with
    assert largest_error(run(program, [x]), run(Inference(model), [x])) <= 1e-5


def test_onnx(model, tmp_path):
    pytest.importorskip('onnxscript')
    runtime = pytest.importorskip('onnxruntime')
    export(model, IMAGES, tmp_path, ['onnx'])
    assert names(tmp_path) == ['deployed.onnx']
    session = runtime.InferenceSession(str(tmp_path / 'deployed.onnx'), providers=['CPUExecutionProvider'])
    assert [each.name for each in session.get_inputs()] == ['images']
    for x in IMAGES:
        (found,) = session.run(None, {'images': x.numpy()})
        assert largest_error(torch.from_numpy(found), run(Inference(model), [x])[0]) <= 1e-5


# -- all or none ---------------------------------------------------------------------------------------------------------------


def test_where_one_file_is_wrong_none_is_written(model, tmp_path, monkeypatch):
    (tmp_path / 'deployed.pth').write_text('of an earlier call')

    def write_wrongly(network, sample, path, meta):
        path.write_text('wrong')
        return lambda batches: [[out + 1e-3 * out.abs().max() for out in outs] for outs in run(network, batches)]

    monkeypatch.setitem(FORMATS, 'pt2', write_wrongly)
    with pytest.raises(
        ValueError, match=r'`deployed\.pt2` must compute what the trained network does.*nothing was written'
    ):
        export(model, IMAGES, tmp_path, ['pth', 'pt2'])
    assert names(tmp_path) == ['deployed.pth']
    assert (tmp_path / 'deployed.pth').read_text() == 'of an earlier call'


def test_files_of_an_earlier_network_go(model, tmp_path):
    for name in ('deployed.pth', 'deployed.onnx', 'mine.pth', 'deployed.json'):
        (tmp_path / name).write_text('earlier')
    export(model, IMAGES, tmp_path, ['pth'])
    assert names(tmp_path) == ['deployed.json', 'deployed.pth', 'mine.pth']
    assert torch.load(tmp_path / 'deployed.pth', weights_only=True)['meta'] == {}


@pytest.mark.parametrize(('name', 'package_name'), [('safetensors', 'safetensors.torch'), ('onnx', 'onnxruntime')])
def test_a_missing_package_is_named(model, tmp_path, monkeypatch, name, package_name):
    original = builtins.__import__

    def refuse(wanted, *args, **kwargs):
        if wanted == package_name:
            raise ImportError(f'No module named {wanted!r}')
        return original(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', refuse)
    message = (
        f"`format` must be one whose packages are installed, but got '{name}' "
        rf"\(No module named '{package_name}'\); pip install -r requirements/export\.txt"
    )
    with pytest.raises(ImportError, match=message):
        export(model, IMAGES, tmp_path, [name])
    assert names(tmp_path) == []


# -- images -------------------------------------------------------------------------------------------------------------------


def test_a_graph_is_for_images_of_one_size(exported):
    found, _ = exported
    assert found['deployed.pth'].num_images == 7
    assert found['deployed.pt2'].num_images == 5


def test_one_image_is_enough_for_any_batch(tmp_path):
    model = Classifier(build(SMALL, torch.float), 32).eval()
    export(model, IMAGES[1:], tmp_path, ['pt2'])
    program = torch.export.load(tmp_path / 'deployed.pt2').module()
    assert largest_error(run(program, IMAGES), run(Inference(model), IMAGES)) <= 1e-5


def test_digest(tmp_path):
    (tmp_path / 'x').write_bytes(b'abc')
    assert digest(tmp_path / 'x') == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert set(package.FIXED_SIZE) < set(FORMATS)


def test_attention_that_stays_is_exported_too(tmp_path):
    model = Classifier(wrap(SMALL, SE, torch.float), 32).eval()
    export(model, IMAGES, tmp_path, ['pt2'])
    program = torch.export.load(tmp_path / 'deployed.pt2').module()
    assert largest_error(run(program, IMAGES), run(Inference(model), IMAGES)) <= 1e-5
