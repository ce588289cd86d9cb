"""A ticket names an augmented convolution as it names an attention, and neither is taken for the other."""

import pytest
from augmented_convs import EAA, SETTINGS
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT

from ean_mm.models import SGE, AugmentedBackbone, EAAConv2d, EANBackbone
from ean_mm.models.attention_spec import attention_spec
from ean_mm.structures import ConnectionScheme, Ticket, TicketError

CIFAR = dict(type='ean_mm.ResNetCifar', depth=20, base_channels=8)
EAA_SPELLED = {
    'type': 'ean_mm.EAAConv2d',
    'kappa': 0.25,
    'upsilon': 0.25,
    'num_heads': 2,
    'min_key_channels_per_head': 2,
}
AA = dict(type='ean_mm.AAConv2d', feature_size={8: 32, 16: (16, 24), 32: 8}, **SETTINGS)
AA_SPELLED = {
    **EAA_SPELLED,
    'type': 'ean_mm.AAConv2d',
    'position': 'fixed',
    'feature_size': {'8': 32, '16': [16, 24], '32': 8},
}
SCHEME = '101 000 011'


def ticket_of(network, **changes):
    fields = dict(
        origin='searched',
        scheme=ConnectionScheme.from_string(SCHEME),
        backbone=network.fingerprint,
        attention=network.attention_spec,
        sharing=network.sharing,
    )
    return Ticket(**{**fields, **changes})


@pytest.fixture
def save(tmp_path):
    def write(network=None, **changes):
        path = tmp_path / 'ticket.json'
        ticket_of(network or AugmentedBackbone(CIFAR, EAA), **changes).save(path)
        return str(path)

    return write


@pytest.mark.parametrize(('conv', 'spelled'), [(EAA, EAA_SPELLED), (AA, AA_SPELLED)])
def test_a_ticket_is_all_that_a_network_needs(save, conv, spelled):
    searched = AugmentedBackbone(CIFAR, conv)
    ticket = ticket_of(searched)
    assert (ticket.attention, ticket.sharing) == (spelled, 'block')
    path = save(searched)
    assert Ticket.load(path) == ticket
    from_ticket, from_config = AugmentedBackbone(CIFAR, ticket=path), AugmentedBackbone(CIFAR, conv, SCHEME)
    assert str(from_ticket.scheme) == SCHEME
    assert from_ticket.attention_spec == spelled
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (from_ticket, from_config)]
    assert shapes[0] == shapes[1]
    sizes = [getattr(attention, 'feature_size', None) for attention in from_ticket.ean.values()]
    assert sizes == ([None] * 4 if conv is EAA else [(32, 32), (32, 32), (8, 8), (8, 8)])


@pytest.mark.parametrize(
    'conv',
    [
        AA,
        AA_SPELLED,
        Config(dict(conv=AA)).conv,
        Config.fromstring(Config(dict(conv=AA)).pretty_text, '.py').conv,  # with text for keys
        dict(AA, kappa=0.25, position='fixed', feature_size={'8': 32, 16: [16, 24], '32': 8}),
    ],
)
def test_another_spelling_agrees(save, conv):
    path = save(AugmentedBackbone(CIFAR, AA))
    assert AugmentedBackbone(CIFAR, conv, ticket=path).attention_spec == AA_SPELLED


@pytest.mark.parametrize('kind', [EAAConv2d, 'ean_mm.EAAConv2d'])
def test_a_type_is_a_name_or_a_class(save, kind):
    assert AugmentedBackbone(CIFAR, dict(EAA, type=kind), ticket=save()).attention_spec == EAA_SPELLED


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(conv=dict(EAA, num_heads=1)), r"`conv` must agree with the ticket \(.*\), but got .*'num_heads': 1"),
        (dict(conv=dict(EAA, type='ean_mm.AAConv2d', position='none')), '`conv` must agree with the ticket'),
        (dict(scheme='all'), "`scheme` must be left out beside a ticket, .* but got 'all'"),
        (dict(backbone=dict(CIFAR, depth=14)), 'must be like the one of the ticket .*ResNetCifar, depth 20'),
        (dict(conv=dict(EAA, stride=1)), '`conv` must leave stride to'),
    ],
)
def test_a_contradiction_is_refused(save, arguments, message):
    with pytest.raises(ValueError, match=message):
        AugmentedBackbone(**{**dict(backbone=CIFAR, ticket=save()), **arguments})


def test_a_ticket_for_attention_is_refused(save):
    path = save(EANBackbone(CIFAR, dict(type='ean_mm.SE'), sharing='block'))
    for conv in (None, EAA):
        with pytest.raises(
            TicketError,
            match=r'`ticket` must be made for an ean_mm.AugmentedBackbone \(ean_mm.AAConv2d, ean_mm.EAAConv2d\), but got one '
            r'for ean_mm.SE in .*; it belongs to the other wrapper',
        ):
            AugmentedBackbone(CIFAR, conv, ticket=path)


def test_a_ticket_for_convolutions_is_refused_by_the_other(save):
    path = save()
    for attention in (None, dict(type='ean_mm.SE')):
        with pytest.raises(
            TicketError,
            match=r'`ticket` must be made for an ean_mm.EANBackbone \(ean_mm.SE, .*\), but got one for ean_mm.EAAConv2d in',
        ):
            EANBackbone(CIFAR, attention, ticket=path)


def test_a_foreign_convolution_must_be_given(save):
    @ROOT.register_module()
    class ForeignConv2d(EAAConv2d):
        pass

    try:
        conv = dict(EAA, type='mmengine.ForeignConv2d')
        path = save(AugmentedBackbone(CIFAR, conv))
        assert Ticket.load(path).attention == conv
        assert AugmentedBackbone(CIFAR, conv, ticket=path).scheme.num_connected == 4
        with pytest.raises(
            TicketError, match='`conv` must be given in the config beside a ticket whose attention is not'
        ):
            AugmentedBackbone(CIFAR, ticket=path)
    finally:
        ROOT.module_dict.pop('ForeignConv2d')


@pytest.mark.parametrize(
    'attention',
    [dict(type='elsewhere.Gate'), dict(type='ean_mm.ASR', attention=dict(type='ean_mm.EAAConv2d'))],
)
def test_no_name_in_a_ticket_is_looked_up(save, tmp_path, monkeypatch, attention):
    (tmp_path / 'elsewhere.py').write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    path = save(attention=attention)
    for conv in (None, EAA):
        with pytest.raises(TicketError, match=r'`(conv|ticket)` must'):
            AugmentedBackbone(CIFAR, conv, ticket=path)
    with pytest.raises(TicketError, match='`attention` must be given in the config'):
        EANBackbone(CIFAR, ticket=path)
    assert not (tmp_path / 'was_run').exists()


@pytest.mark.parametrize('name', ['heads', 'stride', 'out_channels'])
def test_an_unknown_argument_is_named(save, name):
    path = save(attention={**EAA_SPELLED, name: 1})
    with pytest.raises(
        TicketError,
        match=rf"arguments of ean_mm.EAAConv2d \(kappa, upsilon, num_heads, min_key_.*head\), but got '{name}' in",
    ):
        AugmentedBackbone(CIFAR, ticket=path)


def test_what_is_left_out_of_a_ticket_has_its_default(save):
    path = save(attention={key: value for key, value in EAA_SPELLED.items() if key not in ('kappa', 'upsilon')})
    assert AugmentedBackbone(CIFAR, ticket=path).attention_spec == EAA_SPELLED
    assert AugmentedBackbone(CIFAR, EAA, ticket=path).attention_spec == EAA_SPELLED


def test_no_attention_is_shared(save):
    with pytest.raises(ValueError, match=r"`sharing` must agree with the ticket .'stage' in .*, but got 'block'"):
        AugmentedBackbone(CIFAR, ticket=save(sharing='stage'))


def test_an_adapted_ticket(save, tmp_path):
    ticket = Ticket.load(save(AugmentedBackbone(CIFAR, AA))).adapt((2, 2, 2), 'nearest')
    ticket.save(tmp_path / 'adapted.json')
    net = AugmentedBackbone(dict(CIFAR, depth=14), ticket=str(tmp_path / 'adapted.json'))
    assert (str(net.scheme), net.attention_spec) == ('11 00 01', AA_SPELLED)


def test_an_attention_may_have_an_argument_that_convolutions_have():
    """``groups`` is the backbone's of a convolution, and SGE's own."""
    assert attention_spec(dict(type=SGE, groups=4))['groups'] == 4
    assert attention_spec(dict(type='Conv2d', groups=4, bias=False)) == {'type': 'Conv2d', 'groups': 4, 'bias': False}
    net = EANBackbone(CIFAR, dict(type='ean_mm.SGE', groups=4))
    assert ticket_of(net).attention['groups'] == 4
