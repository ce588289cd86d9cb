"""The mask-aware wrapper: any residual backbone, attention shared per stage, one bit per block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule, ModuleDict
from torch import Tensor, nn

from ..registry import MODELS, build_from
from ..structures import BackboneFingerprint, ConnectionScheme, Ticket
from ..structures.checks import require_one_of
from .attention_spec import OWN_ATTENTIONS, attention_spec, reconcile_attention, require_ticket_for
from .checkpoint_keys import check_backbone_keys
from .hidden_level import HiddenLevel
from .shared_attention import SharedAttention
from .site_slot import CarryContext, SiteSlot
from .sites import Site, find_sites

SHARING_GROUPS = {
    'stage': lambda site: f'stage{site.stage}',
    'block': lambda site: f'stage{site.stage}_block{site.index}',
}


@MODELS.register_module()
class EANBackbone(HiddenLevel, BaseModule):
    """A residual backbone with attention at the end of chosen residual branches.

    ``out = relu(shortcut(x) + a * Att(F(x)) + (1 - a) * F(x))`` with one bit a per block; blocks of one sharing group use
    one attention module. With every bit off the output is the bare backbone's, bit for bit and at its cost.
    Source: arXiv:2011.14058, sections 3 and 4.1. Differs: attention of a group that the given scheme leaves unconnected is
    not built.

    The state dict holds the bare backbone's keys plus ``ean.*``. Loading refuses missing, unexpected or mis-shaped backbone
    keys, by whatever route the weights come (``init_cfg``, ``load_from``, ``load_state_dict``); a plain checkpoint leaves the
    attention as initialised.

    Args:
        backbone: config of the residual backbone, its type scoped (``mmpretrain.ResNet``, ``mmseg.ResNetV1c``, ...).
        attention: config of a registered attention; may be left out with a ticket that names one of our own.
        sharing: 'stage' (the paper: one module per stage; the default) or 'block' (one per connected block).
        scheme: 'all' (the default), 'none', or one string of bits per stage ('101 0110 100100 010').
        ticket: path of a ticket file, which gives scheme, attention and sharing; what is given beside it must agree.
        residual_blocks: where the residual branch of further kinds of block ends, one row per class name:
            ``dict(MyBlock=dict(after='bn2'))``; see ``ean_mm.models.ResidualBlock``.
        allow_missing: regular expressions of keys that a checkpoint need not match.
        init_cfg: initialisation config, given here or in ``backbone``, not in both.

    Shape: as the backbone's.
    Cost: the backbone's plus, per connected site, one call of the attention.
    Raises:
        ValueError: if the backbone has no residual blocks of a known kind, the attention does not fit or cannot be shared,
            scheme or sharing is none of the above, or a recurrent attention meets activation checkpointing.
        TicketError: if the ticket is damaged or made for another backbone.

    >>> net = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=20), attention=dict(type='ean_mm.SE'))
    >>> net.num_connections, net.blocks_per_stage
    (9, (3, 3, 3))

    Attributes:
        sites: where each bit acts, stage by stage.
        groups: name of each site's sharing group, in the same order.
        slots: the adapter at each site, in the same order.
        ean: the attention of each group, built with the backbone.
    """

    hidden_child = 'backbone'
    attention_argument = 'attention'  # what the config of the attention is called
    own_types = OWN_ATTENTIONS  # what a ticket may name that is built from the ticket alone

    def __init__(
        self,
        backbone: dict,
        attention: dict | None = None,
        sharing: str | None = None,
        scheme: str | None = None,
        ticket: str | None = None,
        residual_blocks: Mapping[str, dict] | None = None,
        allow_missing: Sequence[str] = (),
        init_cfg: dict | list[dict] | None = None,
    ):
        backbone, init_cfg = _place_init_cfg(backbone, init_cfg)
        super().__init__(init_cfg=init_cfg)
        self.backbone: nn.Module = build_from(MODELS, backbone, 'backbone')
        self.sites = self._find_sites(residual_blocks)
        self.allow_missing = tuple(allow_missing)
        if ticket is None:
            given = _check_choice(attention, sharing, scheme, self.blocks_per_stage)
        else:
            given = self._read_ticket(ticket, attention, sharing, scheme)
        self.attention_cfg, self.sharing, self._scheme = given
        self.groups = [SHARING_GROUPS[self.sharing](site) for site in self.sites]
        self._carries = CarryContext()
        self.ean = self._build_attentions()
        self._frozen_groups = self._find_frozen_groups()
        self.slots = self._insert_slots()
        self._refuse_checkpointed_carry()
        self.set_scheme(self._scheme)
        self._freeze_attentions()

    # -- what there is to choose ---------------------------------------------------------------------------------------

    @property
    def num_connections(self) -> int:
        """How many bits a scheme of this backbone has."""
        return len(self.sites)

    @property
    def blocks_per_stage(self) -> tuple[int, ...]:
        """How many residual blocks each stage has."""
        counts = [0] * (self.sites[-1].stage + 1)
        for site in self.sites:
            counts[site.stage] += 1
        return tuple(counts)

    @property
    def fingerprint(self) -> BackboneFingerprint:
        """What a ticket must agree with: type, depth, blocks and widths of the bare backbone."""
        channels = {site.stage: site.channels for site in self.sites}
        return BackboneFingerprint(
            type=type(self.backbone).__name__,
            depth=getattr(self.backbone, 'depth', None),
            blocks_per_stage=self.blocks_per_stage,
            channels=tuple(channels.values()),
        )

    @property
    def attention_spec(self) -> dict:
        """The attention's type and every argument that matters, as a ticket stores it."""
        return attention_spec(self.attention_cfg)

    @property
    def scheme(self) -> ConnectionScheme:
        """The scheme in force."""
        return self._scheme

    def set_scheme(self, scheme: ConnectionScheme | str) -> None:
        """Connect exactly the sites of ``scheme`` from the next forward pass on.

        Raises:
            ValueError: if the layout differs or the scheme needs an attention that was not built.
        """
        if isinstance(scheme, str):
            scheme = ConnectionScheme.parse(scheme, self.blocks_per_stage)
        if scheme.blocks_per_stage != self.blocks_per_stage:
            raise ValueError(f'`scheme` must have {self.blocks_per_stage} blocks per stage, but got {str(scheme)!r}.')
        for slot, connected in zip(self.slots, scheme.mask, strict=True):
            if connected and slot.attention is None:
                raise ValueError(
                    f'`scheme` must connect only sites whose attention was built, but got {str(scheme)!r} on a '
                    f"network built for '{self._scheme}'; build it with scheme='all' to choose freely."
                )
        for slot, connected in zip(self.slots, scheme.mask, strict=True):
            slot.connected = bool(connected)
        self._scheme = scheme

    # -- running ---------------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Any:
        with self._carries.open():
            return self.backbone(x)

    def train(self, mode: bool = True) -> EANBackbone:
        super().train(mode)
        self._freeze_attentions()
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        check_backbone_keys(self, state_dict, prefix, self.allow_missing)
        super()._load_from_state_dict(state_dict, prefix, *args)

    # -- building --------------------------------------------------------------------------------------------------------

    def _read_ticket(
        self, path: str, attention: dict | None, sharing: str | None, scheme: str | None
    ) -> tuple[dict, str, ConnectionScheme]:
        ticket = Ticket.load(path)
        require_ticket_for(type(self).__name__, ticket, self.own_types, path)
        ticket.check_backbone(self.fingerprint)
        if scheme is not None:
            raise ValueError(
                f'`scheme` must be left out beside a ticket, which gives it, but got {scheme!r}; '
                f"the ticket {path} says '{ticket.scheme}'."
            )
        if sharing is not None and sharing != ticket.sharing:
            raise ValueError(
                f'`sharing` must agree with the ticket ({ticket.sharing!r} in {path}), but got {sharing!r}.'
            )
        cfg = reconcile_attention(attention, ticket, path, self.own_types, self.attention_argument)
        return cfg, ticket.sharing, ticket.scheme

    def _find_sites(self, residual_blocks: Mapping[str, dict] | None) -> list[Site]:
        return find_sites(self.backbone, residual_blocks)

    def _build_attentions(self) -> ModuleDict:
        connected: dict[str, list[Site]] = {}
        for group, site, bit in zip(self.groups, self.sites, self._scheme.mask, strict=True):
            if bit:
                connected.setdefault(group, []).append(site)
        return ModuleDict({group: self._build_attention(sites) for group, sites in connected.items()})

    def _build_attention(self, sites: Sequence[Site]) -> nn.Module:
        """The attention of a group whose connected sites are these."""
        return SharedAttention(self.attention_cfg, sites[0].channels, num_sites=len(sites))

    def _insert_slots(self) -> list[SiteSlot]:
        slots: list[SiteSlot] = []
        for site, group in zip(self.sites, self.groups, strict=True):
            slot = self._build_slot(site, dict(self.ean.items()).get(group))
            site.replace_child(slot)
            slots.append(slot)
        return slots

    def _build_slot(self, site: Site, attention: Any) -> SiteSlot:
        return SiteSlot(site.child, site.comes_first, attention, self._carries)

    def _refuse_checkpointed_carry(self) -> None:
        recurrent = any(attention.has_carry for attention in self.ean.values())
        if recurrent and any(getattr(site.block, 'with_cp', False) for site in self.sites):
            raise ValueError(
                '`with_cp` must be False with an attention that hands a state from block to block '
                f'({self.attention_cfg["type"]}), but got True; recomputation would run the attention twice.'
            )

    def _find_frozen_groups(self) -> list[str]:
        """Name the groups of which only stages take part that the backbone's ``frozen_stages`` has frozen."""
        self.backbone.train()  # some backbones freeze their stages here, the others when they are built
        trained = {
            group
            for site, group in zip(self.sites, self.groups, strict=True)
            if any(parameter.requires_grad for parameter in site.block.parameters())
        }
        return [group for group in self.ean if group not in trained]

    def _freeze_attentions(self) -> None:
        for group in self._frozen_groups:
            self.ean[group].eval()
            self.ean[group].requires_grad_(False)


def _check_choice(
    attention: dict | None, sharing: str | None, scheme: str | None, blocks_per_stage: tuple
) -> tuple[dict, str, ConnectionScheme]:
    if attention is None:
        raise ValueError(
            "`attention` must be a dict with a 'type', but got None; "
            "give one, like dict(type='ean_mm.SE'), or a ticket."
        )
    sharing = require_one_of('sharing', sharing or 'stage', SHARING_GROUPS)
    return attention, sharing, ConnectionScheme.parse(scheme or 'all', blocks_per_stage)


def _place_init_cfg(backbone: dict, init_cfg: dict | list[dict] | None) -> tuple[dict, list[dict] | None]:
    """Put pretrained weights outside, where ``init_model`` of MM looks for them, and every other initialisation inside."""
    if not isinstance(backbone, dict):
        raise ValueError(f"`backbone` must be a dict with a 'type', but got {backbone!r}.")
    inner = backbone.get('init_cfg')
    if inner and init_cfg:
        raise ValueError(
            f'`init_cfg` must be given once, but got {init_cfg!r} outside and {inner!r} inside `backbone`.'
        )
    given = inner or init_cfg
    if not given:
        return backbone, None
    entries = [given] if isinstance(given, dict) else list(given)
    pretrained = [entry for entry in entries if entry['type'] == 'Pretrained']
    others = [entry for entry in entries if entry['type'] != 'Pretrained']
    backbone = {key: value for key, value in backbone.items() if key != 'init_cfg'}
    if others:
        backbone['init_cfg'] = others
    return backbone, pretrained or None
