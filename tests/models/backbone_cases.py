"""Every backbone that the registries of mmpretrain and mmseg name, and how the sweep builds it small."""

from __future__ import annotations

from dataclasses import dataclass, field

TOKENS = 'its blocks hand on tokens or channels-last maps, not maps (N, C, H, W)'
NO_SHORTCUT = 'its blocks have no shortcut that is added'
CONCATENATED = 'its shortcuts are concatenated, not added'
PARALLEL = 'its branches run in parallel and are summed at once: none of them has an end of its own'
MIXED = 'its residual ends are not modules or differ from block to block, so no row can name them'


@dataclass(frozen=True)
class Case:
    """One backbone of the sweep.

    Attributes:
        type: scoped type in a config.
        arguments: what it is built with; small, where there is a choice.
        size: height and width of the input.
        fast: True for the representative of a family, which every test run covers.
        refused: why it has no sites, empty where it has.
        not_built: why the sweep cannot build it, empty where it can.
    """

    type: str
    arguments: dict = field(default_factory=dict)
    size: int = 32
    fast: bool = False
    refused: str = ''
    not_built: str = ''

    @property
    def name(self) -> str:
        """The type, with the timm model where there is one."""
        model = self.arguments.get('model_name')
        return f'{self.type}({model})' if model else self.type


def _timm(model_name: str, fast: bool = False, refused: str = '', size: int = 32) -> Case:
    return Case('mmpretrain.TIMMBackbone', dict(model_name=model_name), size, fast, refused)


_R18 = dict(type='mmseg.ResNetV1c', depth=18, num_stages=4, out_indices=(0, 1, 2, 3))
_HRNET_W18 = dict(
    stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4,), num_channels=(64,)),
    stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(4, 4), num_channels=(18, 36)),
    stage3=dict(num_modules=4, num_branches=3, block='BASIC', num_blocks=(4, 4, 4), num_channels=(18, 36, 72)),
    stage4=dict(num_modules=3, num_branches=4, block='BASIC', num_blocks=(4, 4, 4, 4), num_channels=(18, 36, 72, 144)),
)
_BN = dict(type='BN', requires_grad=True)

MMPRETRAIN = (
    Case('mmpretrain.ResNet', dict(depth=18), fast=True),
    Case('mmpretrain.ResNet', dict(depth=50, base_channels=128, expansion=2)),
    Case('mmpretrain.ResNet_CIFAR', dict(depth=18), fast=True),
    Case('mmpretrain.ResNetV1c', dict(depth=50)),
    Case('mmpretrain.ResNetV1d', dict(depth=50), fast=True),
    Case('mmpretrain.ResNeXt', dict(depth=50), fast=True),
    Case('mmpretrain.SEResNet', dict(depth=50), fast=True),
    Case('mmpretrain.SEResNeXt', dict(depth=50)),
    Case('mmpretrain.Res2Net', dict(depth=50), fast=True),
    Case('mmpretrain.ResNeSt', dict(depth=50), fast=True),
    Case('mmpretrain.RegNet', dict(arch='regnetx_400mf'), fast=True),
    Case('mmpretrain.CSPDarkNet', dict(depth=53), fast=True),
    Case('mmpretrain.CSPResNet', dict(depth=50)),
    Case('mmpretrain.CSPResNeXt', dict(depth=50), fast=True),
    Case('mmpretrain.HRNet', dict(arch='w18'), fast=True),
    Case('mmpretrain.MobileNetV2', fast=True),
    Case('mmpretrain.MobileNetV3', dict(arch='small'), fast=True),
    Case('mmpretrain.EfficientNet', dict(arch='b0'), fast=True),
    Case('mmpretrain.EfficientNetV2', dict(arch='b0')),
    Case('mmpretrain.ConvNeXt', dict(arch='atto'), fast=True),
    Case('mmpretrain.SparseConvNeXt', not_built='runs only inside the pre-training method (SparK) that sets its mask'),
    Case('mmpretrain.SparseResNet', not_built='runs only inside the pre-training method (SparK) that sets its mask'),
    Case('mmpretrain.VAN', dict(arch='tiny'), fast=True),
    Case('mmpretrain.PoolFormer', dict(arch='s12'), fast=True),
    Case('mmpretrain.RIFormer', dict(arch='s12')),
    Case('mmpretrain.EfficientFormer', dict(arch='l1'), size=224),
    Case('mmpretrain.EdgeNeXt', dict(arch='xxsmall')),
    Case('mmpretrain.MobileViT', dict(arch='xx_small')),
    Case('mmpretrain.TinyViT', dict(arch='5m'), size=224),
    Case('mmpretrain.RepLKNet', dict(arch='31B')),
    Case('mmpretrain.RepVGG', dict(arch='A0'), fast=True),
    Case('mmpretrain.RepVGG', dict(arch='D2se')),
    Case('mmpretrain.RepVGG', dict(arch='A0', deploy=True)),
    Case('mmpretrain.MobileOne', dict(arch='s0')),
    Case('mmpretrain.AlexNet', refused=NO_SHORTCUT),
    Case('mmpretrain.LeNet5', refused=NO_SHORTCUT),
    Case('mmpretrain.VGG', dict(depth=11), refused=NO_SHORTCUT),
    Case('mmpretrain.InceptionV3', refused=NO_SHORTCUT),
    Case('mmpretrain.DenseNet', dict(arch='121'), refused=CONCATENATED),
    Case('mmpretrain.ShuffleNetV2', refused=CONCATENATED),
    Case('mmpretrain.ShuffleNetV1', refused=MIXED),
    Case('mmpretrain.ConvMixer', refused=MIXED),
    Case('mmpretrain.HorNet', dict(arch='tiny'), refused=TOKENS),
    Case('mmpretrain.Conformer', dict(arch='tiny'), refused=MIXED),
    Case('mmpretrain.RepMLPNet', dict(arch='base'), refused=PARALLEL),
    Case('mmpretrain.Vig', dict(arch='tiny'), refused=MIXED),
    Case('mmpretrain.PyramidVig', dict(arch='tiny'), refused=MIXED),
    Case('mmpretrain.VisionTransformer', refused=TOKENS, fast=True),
    Case('mmpretrain.BEiTViT', refused=TOKENS),
    Case('mmpretrain.DaViT', refused=TOKENS),
    Case('mmpretrain.DistilledVisionTransformer', refused=TOKENS),
    Case('mmpretrain.DeiT3', dict(arch='small'), refused=TOKENS),
    Case('mmpretrain.HiViT', dict(arch='tiny'), refused=TOKENS),
    Case('mmpretrain.LeViT', dict(arch='128s'), refused=TOKENS),
    Case('mmpretrain.MixMIMTransformer', refused=TOKENS),
    Case('mmpretrain.MlpMixer', refused=TOKENS),
    Case('mmpretrain.MViT', dict(arch='tiny'), refused=TOKENS),
    Case('mmpretrain.RevVisionTransformer', refused=TOKENS),
    Case('mmpretrain.SwinTransformer', refused=TOKENS),
    Case('mmpretrain.SwinTransformerV2', dict(arch='tiny'), refused=TOKENS),
    Case('mmpretrain.T2T_ViT', refused=TOKENS),
    Case('mmpretrain.TNT', dict(arch='s'), refused=TOKENS),
    Case('mmpretrain.PCPVT', dict(arch='small'), refused=TOKENS),
    Case('mmpretrain.SVT', dict(arch='small'), refused=TOKENS),
    Case('mmpretrain.ViTEVA02', dict(arch='tiny'), refused=TOKENS),
    Case('mmpretrain.ViTSAM', refused=TOKENS),
    Case('mmpretrain.XCiT', refused=TOKENS),
)

TIMM = (
    _timm('resnet18', fast=True),
    _timm('seresnet50'),
    _timm('res2net50_26w_4s'),
    _timm('resnest14d', size=64),
    _timm('regnety_002'),
    _timm('resnetv2_50'),
    _timm('nf_resnet26'),
    _timm('cspresnet50'),
    _timm('cspdarknet53'),
    _timm('dla34'),
    _timm('hrnet_w18_small'),
    _timm('convnext_atto', fast=True),
    _timm('efficientnet_b0', fast=True),
    _timm('mobilenetv3_small_050'),
    _timm('mobilenetv4_conv_small'),
    _timm('vit_tiny_patch16_224', refused=TOKENS),
)

MMSEG = (
    Case('mmseg.ResNet', dict(depth=18), fast=True),
    Case('mmseg.ResNetV1c', dict(depth=50, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)), fast=True),
    Case('mmseg.ResNetV1d', dict(depth=50)),
    Case('mmseg.ResNeXt', dict(depth=50)),
    Case('mmseg.ResNeSt', dict(depth=50), fast=True),
    Case('mmseg.HRNet', dict(extra=_HRNET_W18), fast=True),
    Case('mmseg.MobileNetV2', fast=True),
    Case('mmseg.MobileNetV3', dict(arch='small'), fast=True),
    Case('mmseg.TIMMBackbone', dict(model_name='resnet18', features_only=True, pretrained=False)),
    Case('mmseg.MSCAN', dict(norm_cfg=_BN), fast=True),
    Case('mmseg.BiSeNetV1', dict(backbone_cfg=_R18), size=64),
    Case('mmseg.BiSeNetV2', size=64),
    Case('mmseg.CGNet', size=64),
    Case('mmseg.DDRNet', size=64),
    Case('mmseg.PIDNet', size=128),
    Case('mmseg.FastSCNN', size=64),
    Case('mmseg.ICNet', dict(backbone_cfg=_R18, layer_channels=(128, 512)), size=128),
    Case('mmseg.ERFNet', refused=MIXED),
    Case(
        'mmseg.STDCNet',
        dict(
            stdc_type='STDCNet1',
            in_channels=3,
            channels=(32, 64, 256, 512, 1024),
            bottleneck_type='cat',
            num_convs=4,
            norm_cfg=_BN,
            act_cfg=dict(type='ReLU'),
        ),
        refused=CONCATENATED,
    ),
    Case('mmseg.STDCContextPathNet', not_built='its backbone is an STDCNet, which has no sites'),
    Case('mmseg.UNet', refused=NO_SHORTCUT),
    Case('mmseg.DeconvModule', not_built='a part of UNet, not a backbone'),
    Case('mmseg.InterpConv', not_built='a part of UNet, not a backbone'),
    Case('mmseg.VPD', not_built='needs the stable-diffusion packages; its backbone works on tokens'),
    Case('mmseg.VisionTransformer', refused=TOKENS),
    Case('mmseg.BEiT', refused=TOKENS),
    Case('mmseg.MAE', refused=TOKENS),
    Case('mmseg.MixVisionTransformer', refused=TOKENS, fast=True),
    Case('mmseg.SwinTransformer', refused=TOKENS),
    Case('mmseg.PCPVT', refused=TOKENS),
    Case('mmseg.SVT', refused=TOKENS),
)

CASES = MMPRETRAIN + TIMM + MMSEG
