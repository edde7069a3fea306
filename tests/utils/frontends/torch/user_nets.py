"""A user's file: PyTorch networks of several families, as others write them."""

import os
import signal
import sys

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import nn


class BasicBlock(nn.Module):
    """Residual block of the CIFAR-10 networks, with the shortcut without parameters."""

    def __init__(self, inner, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.pad = filters // 4 if inner != filters else 0

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inner = 16
        for place, filters in enumerate((16, 32, 64)):
            layers = []
            for number in range(blocks):
                layers.append(BasicBlock(inner, filters, 2 if place and not number else 1))
                inner = filters
            setattr(self, f"layer{place + 1}", nn.Sequential(*layers))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


def resnet20():
    return ResNet(3)


def resnet56():
    return ResNet(9)


class SamePadConv(nn.Conv2d):
    """TensorFlow's "same" padding, worked out while it runs."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(
            reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return self._conv_forward(F.pad(x, pads), self.weight, self.bias)


class MBConv(nn.Module):
    def __init__(self, kernel, stride, expand, inner, outer):
        super().__init__()
        wide = inner * expand
        if expand > 1:
            self._expand_conv = nn.Conv2d(inner, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = SamePadConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, outer, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outer, eps=1e-3)
        self.expand, self.keeps = expand, stride == 1 and inner == outer

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expand > 1 else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.keeps else y


class EfficientNetLite0(nn.Module):
    STAGES = (
        (3, 1, 1, 32, 16, 1),
        (3, 2, 6, 16, 24, 2),
        (5, 2, 6, 24, 40, 2),
        (3, 2, 6, 40, 80, 3),
        (5, 1, 6, 80, 112, 3),
        (5, 2, 6, 112, 192, 4),
        (3, 1, 6, 192, 320, 1),
    )

    def __init__(self):
        super().__init__()
        self._conv_stem = SamePadConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks = []
        for kernel, stride, expand, inner, outer, count in self.STAGES:
            for number in range(count):
                first = number == 0
                blocks.append(
                    MBConv(kernel, stride if first else 1, expand, inner if first else outer, outer)
                )
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 4)
        self.expand = nn.Linear(channels // 4, channels)

    def forward(self, x):
        batch, channels = x.shape[:2]
        y = F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1).view(batch, channels)))
        return x * torch.sigmoid(self.expand(y)).view(batch, channels, 1, 1).expand_as(x)


class Everything(nn.Module):
    """Grouped, dilated and transposed convolution, PReLU, hard-swish, SE, pixel shuffle."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.PReLU(16))
        self.grouped = nn.Conv2d(16, 16, 3, 1, 1, groups=4)
        self.dilated = nn.Conv2d(16, 16, 3, 1, 2, dilation=2)
        self.act = nn.Hardswish()
        self.gate = SqueezeExcite(16)
        self.up = nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1)
        self.wide = nn.Conv2d(16, 12, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.gate(self.act(self.dilated(self.grouped(self.stem(x)))))
        a, b = x.chunk(2, dim=1)
        mixed = torch.stack((a, b), dim=2).flatten(1, 2)  # a channel shuffle
        pooled = F.max_pool2d(mixed, 3, 2, 1).mean((2, 3))
        return self.up(mixed), self.shuffle(self.wide(x)), self.head(pooled)


class Sequence(nn.Module):
    """Attention and recurrence over the batch's second axis, as classifiers of signals have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 5, 2, 2)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.norm(F.gelu(self.conv(x)).transpose(1, 2))
        y = x.transpose(0, 1)  # steps in front
        y, _ = self.attention(y, y, y, need_weights=False)
        z, _ = self.lstm(x + y.transpose(0, 1))
        return self.head(z[:, -1])


class CannotRun(nn.Module):
    def forward(self, x):
        raise RuntimeError("not today")


class Small(nn.Module):
    """A classifier of images [n, 3, 8, 8] into three classes."""

    def __init__(self):
        super().__init__()
        print("made by the user's code")  # noqa: T201  users do
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, 2, 1)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(F.relu(self.conv2(F.relu(self.conv1(x)))).mean((2, 3)))


class Crashes(nn.Module):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGSEGV)


def leave():
    sys.exit(3)


def make_nothing():
    return 3
