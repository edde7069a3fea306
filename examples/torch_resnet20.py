"""ResNet-20 for CIFAR-10 in PyTorch, as the public weights have it; see docs/front_ends.md.

    python main.py --model=examples/torch_resnet20.py:resnet20 --weights=resnet20-12fca82f.th \
        --input_shape=-1,3,32,32 --data=cifar10 --learner=chn-pruned-rmt,uniform-tf \
        --budget=flops:0.6

Reference:
    He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385, section 4.2.
"""

import torch
from torch import nn
from torch.nn import functional

WIDTHS, BLOCKS = (16, 32, 64), 3


class Block(nn.Module):
    """Two convolutions beside a shortcut without parameters: every second pixel, more channels."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.missing = stride, (width - width_in) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block's output."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, self.missing, self.missing))
        return functional.relu(x + y)


class ResNet(nn.Module):
    """Three stages of blocks between a convolution and a classifier."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        width_in = WIDTHS[0]
        for stage, width in enumerate(WIDTHS, start=1):
            blocks = []
            for block in range(BLOCKS):
                blocks.append(Block(width_in, width, 2 if stage > 1 and block == 0 else 1))
                width_in = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits of images [batch, 3, 32, 32]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def resnet20() -> ResNet:
    """Build the network."""
    return ResNet()
