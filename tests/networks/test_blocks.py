import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks.blocks import DiscriminatorBlock, GeneratorBlock
from dvdgan.networks.layers import initialise


def randomised(block):
    initialise(block)
    for name, parameter in block.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return block.double()


@pytest.mark.parametrize("upsample", ["bilinear", "nearest", None])
def test_generator_block_equals_the_figure(upsample):
    block = randomised(GeneratorBlock(4, 6, 5, 1, upsample))
    x, c = torch.randn(6, 4, 5, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)

    def up(h):
        if upsample is None:
            return h
        return F.interpolate(
            h, scale_factor=2, mode=upsample, **({"align_corners": False} if upsample == "bilinear" else {})
        )

    def conv(layer, h):
        return F.conv2d(h, layer.weight, layer.bias, padding=layer.padding)  # orthogonal: sigma is 1

    main = conv(block.conv2, block.norm2(conv(block.conv1, up(block.norm1(x, c, 3))), c, 3))
    expected = main + conv(block.skip, up(x))
    torch.testing.assert_close(block(x, c, 3), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("volumetric", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_discriminator_block_equals_the_figure(volumetric, first):
    block = randomised(DiscriminatorBlock(3, 6, True, first, volumetric))
    x = torch.randn(2, 3, 5, 8, 8, dtype=torch.float64) if volumetric else torch.randn(2, 3, 8, 8, dtype=torch.float64)
    conv = F.conv3d if volumetric else F.conv2d

    def pool(h):
        return F.avg_pool3d(h, (1, 2, 2)) if volumetric else F.avg_pool2d(h, 2)

    h = x if first else torch.relu(x)
    h = torch.relu(conv(h, block.conv1.weight, block.conv1.bias, padding=1))
    h = conv(h, block.conv2.weight, block.conv2.bias, padding=1)
    expected = pool(h) + pool(conv(x, block.skip.weight, block.skip.bias))
    torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)


def test_identity_skip_only_where_nothing_changes():
    assert DiscriminatorBlock(4, 4, False, learned_skip=False).skip is None
    assert DiscriminatorBlock(4, 4, True, learned_skip=False).skip is not None
    assert GeneratorBlock(4, 4, 2, 1, None, learned_skip=False).skip is None
    assert GeneratorBlock(4, 6, 2, 1, None, learned_skip=False).skip is not None


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_halving_time_keeps_an_odd_last_frame(frames):
    block = randomised(DiscriminatorBlock(3, 4, True, True, True, downsample_time=True))
    x = torch.randn(2, 3, frames, 8, 8, dtype=torch.float64)
    expected = F.avg_pool3d(torch.cat([x, x[:, :, -1:]], 2) if frames % 2 else x, 2)
    assert expected.shape[2] == (frames + 1) // 2
    torch.testing.assert_close(block._pool(x), expected)


@pytest.mark.parametrize(("volumetric", "halve_time"), [(True, False), (True, True), (False, False)])
def test_pooling_keeps_type_and_layout(volumetric, halve_time):
    """Under autocast, too, where PyTorch would pool in fp32, and answer in channels first."""
    layout = torch.channels_last_3d if volumetric else torch.channels_last
    block = DiscriminatorBlock(4, 4, True, volumetric=volumetric, downsample_time=halve_time)
    x = torch.randn(2, 4, 3, 8, 8) if volumetric else torch.randn(2, 4, 8, 8)
    x = x.bfloat16().contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = block._pool(x)
    assert pooled.dtype == torch.bfloat16
    assert pooled.is_contiguous(memory_format=layout)
