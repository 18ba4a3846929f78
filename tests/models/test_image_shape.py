import pytest
import torch
from torch.nn import functional as F

from thresher.core.errors import ArgumentError
from thresher.models.image_shape import check_image, conv_side, same_padding, smallest_side


@pytest.mark.parametrize(
    ("side", "kernel", "stride"),
    [(32, 11, 2), (16, 5, 2), (8, 3, 2), (2, 3, 2), (64, 11, 4), (32, 3, 1), (64, 3, 2)],
)
def test_the_padding_is_the_mirror_image_of_same(side, kernel, stride):
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(1, 2, side, side, generator=draw, dtype=torch.float64)
    weight = torch.randn(3, 2, kernel, kernel, generator=draw, dtype=torch.float64)

    # 'SAME' by its definition: ceil(side / stride) outputs, the odd zero after the image
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before, after = total // 2, total - total // 2
    flipped = F.pad(images.flip(2, 3), (before, after, before, after))
    same = F.conv2d(flipped, weight.flip(2, 3), stride=stride).flip(2, 3)

    ours = F.conv2d(images, weight, stride=stride, padding=same_padding(kernel, stride))
    assert ours.shape[-1] == conv_side(side, kernel, stride) == side // stride
    torch.testing.assert_close(ours, same)


@pytest.mark.parametrize("num_halvings", [1, 2, 5])
def test_the_smallest_side_is_halved_every_time(num_halvings):
    def sides(side):
        out = [side]
        for _ in range(num_halvings):
            out.append(-(-out[-1] // 2))
        return out

    least = smallest_side(num_halvings)
    assert len(set(sides(least))) == num_halvings + 1
    assert len(set(sides(least - 1))) <= num_halvings


def test_an_image_has_three_dimensions():
    assert check_image("x", (1, 2, 3)) == (1, 2, 3)
    with pytest.raises(ArgumentError, match=r"got \(1, 2, 3, 4\)"):
        check_image("x", (1, 2, 3, 4))
