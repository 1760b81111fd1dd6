"""The zoo's convolutional networks."""

from __future__ import annotations

import torch
from animal import Animal, numbers
from torch import nn
from torch.nn import functional as F
from zoo_plain import he


def conv(x, m, **more):
    """Write a convolution with a module's weights."""
    return F.conv2d(x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)


def batch_norm(x, m):
    """Write batch normalization in training mode: biased variance over examples and places."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return (x - mean) / (var + m.eps).sqrt() * m.weight[:, None, None] + m.bias[:, None, None]


def linear(x, m):
    return F.linear(x, m.weight, m.bias)


class Plain(nn.Module):
    """Convolution, BatchNorm, functional ReLU and pooling."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc1, self.fc2 = nn.Linear(8 * 4, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(F.max_pool2d(self.bn2(self.conv2(x)), 2))
        x = x.view(-1, 8 * 4)
        return self.fc2(F.relu(self.fc1(x)))


def plain(m, x, at):
    x = at.put("conv1", batch_norm(conv(x, m.conv1), m.bn1), "relu", of=m.conv1, axis=1)
    x = batch_norm(conv(F.max_pool2d(x, 2), m.conv2), m.bn2)
    x = at.put("conv2", F.max_pool2d(x, 2), "relu", of=m.conv2, axis=1)
    x = at.put("fc1", linear(x.flatten(1), m.fc1), "relu", of=m.fc1)
    return at.put("fc2", linear(x, m.fc2), of=m.fc2)


class BasicBlock(nn.Module):
    """He et al. 2015: the activation comes after the addition."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu = (
            nn.Conv2d(1, 6, 3, 1, 1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(True),
        )
        self.layer1 = BasicBlock(6, 6)
        self.layer2 = BasicBlock(6, 8, 2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 3)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet(m, x, at):
    x = at.put("conv1", batch_norm(conv(x, m.conv1), m.bn1), "relu", of=m.conv1, axis=1)
    for name in ("layer1", "layer2"):
        b = getattr(m, name)
        h = at.put(f"{name}.conv1", batch_norm(conv(x, b.conv1), b.bn1), "relu", of=b.conv1, axis=1)
        z = batch_norm(conv(h, b.conv2), b.bn2)
        z = z + (x if b.downsample is None else batch_norm(conv(x, b.downsample[0]), b.downsample[1]))
        x = at.put(f"{name}.conv2", z, "relu", of=b.conv2, axis=1)
        if b.downsample is not None:
            at.put(f"{name}.downsample.0", z, "relu", h=x, of=b.downsample[0], axis=1)
    return at.put("fc", linear(x.mean((2, 3)), m.fc), of=m.fc)


class PreBlock(nn.Module):
    """He et al. 2016: normalization and activation come before the convolution."""

    def __init__(self, width):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x):
        out = self.conv1(F.relu(self.bn1(x)))
        return x + self.conv2(F.relu(self.bn2(out)))


class PreActivation(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(PreBlock(6), PreBlock(6))
        self.bn, self.fc = nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.bn(self.blocks(self.stem(x))))
        return self.fc(x.mean(dim=(2, 3)))


def pre_activation(m, x, at):
    stream, last, owner = conv(x, m.stem), "stem", m.stem
    for i, b in enumerate(m.blocks):
        # What stands before a block's first activation: the layer whose output went into the stream last.
        h = at.put(last, batch_norm(stream, b.bn1), "relu", of=owner, axis=1)
        h = at.put(f"blocks.{i}.conv1", batch_norm(conv(h, b.conv1), b.bn2), "relu", of=b.conv1, axis=1)
        stream = stream + conv(h, b.conv2)
        last, owner = f"blocks.{i}.conv2", b.conv2
    h = at.put(last, batch_norm(stream, m.bn), "relu", of=owner, axis=1)
    return at.put("fc", linear(h.mean((2, 3)), m.fc), of=m.fc)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.merge, self.head = nn.Conv2d(12, 6, 3, padding=1), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        skip = F.relu(self.down1(x))
        bottom = F.relu(self.down2(self.pool(skip)))
        x = torch.cat([self.up(bottom), skip], dim=1)
        return self.head(torch.relu(self.merge(x)))


def unet(m, x, at):
    skip = at.put("down1", conv(x, m.down1), "relu", of=m.down1, axis=1)
    h = at.put("down2", conv(F.max_pool2d(skip, 2), m.down2), "relu", of=m.down2, axis=1)
    h = at.put("up", F.conv_transpose2d(h, m.up.weight, m.up.bias, stride=2), of=m.up, axis=1)
    h = at.put("merge", conv(torch.cat([h, skip], 1), m.merge), "relu", of=m.merge, axis=1)
    return at.put("head", conv(h, m.head), of=m.head, axis=1)


def pictures(generator):
    return torch.randn(6, 1, 8, 8, generator=generator), torch.randint(3, (6, 8, 8), generator=generator)


def everything():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Dropout2d(0.0),
        nn.Conv2d(6, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 16), nn.LayerNorm(16), nn.SiLU(),
        nn.Linear(16, 16), nn.ELU(), nn.Dropout(0.0),
        nn.Linear(16, 16), nn.Hardswish(), nn.Linear(16, 3),
    )  # fmt: skip


def everything_by_hand(m, x, at):
    x = at.put("0", batch_norm(conv(x, m[0]), m[1]), "relu", of=m[0], axis=1)
    z = F.group_norm(conv(F.max_pool2d(x, 2), m[5]), 2, m[6].weight, m[6].bias)
    x = at.put("5", z, "gelu", of=m[5], axis=1)
    x = F.adaptive_avg_pool2d(x, 2).flatten(1)
    x = at.put("10", F.layer_norm(linear(x, m[10]), (16,), m[11].weight, m[11].bias), "silu", of=m[10])
    x = at.put("13", linear(x, m[13]), "elu", of=m[13])
    x = at.put("16", linear(x, m[16]), "Hardswish", of=m[16])
    return at.put("18", linear(x, m[18]), of=m[18])


class Dense(nn.Module):
    """DenseNet: each layer takes what all before it gave."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 4 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(4 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3))
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        features = [self.stem(x)]
        for norm, layer in zip(self.norms, self.convs, strict=True):
            features.append(layer(F.relu(norm(torch.cat(features, 1)))))
        return self.fc(torch.cat(features, 1).mean((2, 3)))


def dense(m, x, at):
    features = [at.put("stem", conv(x, m.stem), of=m.stem, axis=1)]
    for i in range(3):
        h = F.relu(batch_norm(torch.cat(features, 1), m.norms[i]))
        features.append(at.put(f"convs.{i}", conv(h, m.convs[i]), of=m.convs[i], axis=1))
    return at.put("fc", linear(torch.cat(features, 1).mean((2, 3)), m.fc), of=m.fc)


class SqueezeExcite(nn.Module):
    """Hu et al. 2018, with SiLU as in EfficientNet."""

    def __init__(self, channels, reduction=2):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False), nn.SiLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.pool(x).view(b, c)
        return x * self.fc(y).view(b, c, 1, 1).expand_as(x)


class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.se = nn.Conv2d(1, 16, 3, bias=False), nn.BatchNorm2d(16), SqueezeExcite(16)
        self.last, self.head = nn.Conv2d(16, 8, 3), nn.Linear(8, 3)

    def forward(self, x):
        x = self.se(F.relu(self.bn(self.conv(x))))
        return self.head(F.adaptive_avg_pool2d(F.relu(self.last(x)), 1)[:, :, 0, 0])


def squeezed(m, x, at):
    one, two = m.se.fc[0], m.se.fc[2]
    x = at.put("conv", batch_norm(conv(x, m.conv), m.bn), "relu", of=m.conv, axis=1)
    s = at.put("se.fc.0", x.mean((2, 3)) @ one.weight.T, "silu", of=one)
    s = at.put("se.fc.2", s @ two.weight.T, "sigmoid", of=two)
    x = at.put("last", conv(x * s[:, :, None, None], m.last), "relu", of=m.last, axis=1)
    return at.put("head", linear(x.mean((2, 3)), m.head), of=m.head)


class Mobile(nn.Module):
    """Depthwise separable convolutions with GroupNorm and ReLU6."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm1 = nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.depthwise, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GroupNorm(4, 8)
        self.pointwise, self.norm3 = nn.Conv2d(8, 12, 1), nn.GroupNorm(4, 12)
        self.act, self.head = nn.ReLU6(inplace=True), nn.Linear(12, 3)

    def forward(self, x):
        x = self.act(self.norm1(self.stem(x)))
        x = self.act(self.norm2(self.depthwise(x)))
        x = F.hardswish(self.norm3(self.pointwise(x)))
        return self.head(x.mean([2, 3]))


def mobile(m, x, at):
    x = F.group_norm(conv(x, m.stem), 4, m.norm1.weight, m.norm1.bias)
    x = at.put("stem", x, "ReLU6", of=m.stem, axis=1)
    x = F.group_norm(conv(x, m.depthwise), 4, m.norm2.weight, m.norm2.bias)
    x = at.put("depthwise", x, "ReLU6", of=m.depthwise, axis=1)
    x = F.group_norm(conv(x, m.pointwise), 4, m.norm3.weight, m.norm3.bias)
    x = at.put("pointwise", x, "Hardswish", of=m.pointwise, axis=1)
    return at.put("head", linear(x.mean((2, 3)), m.head), of=m.head)


class Causal(nn.Module):
    """A temporal convolutional network: dilated, padded at the left, cut at the right."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv1d(3, 10, 3, padding=2), nn.Conv1d(10, 10, 3, padding=4, dilation=2)
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        x = F.relu(self.one(x)[:, :, :-2])
        x = F.relu(x + self.two(x)[..., :-4].contiguous())
        return self.head(x[:, :, -1])


def causal(m, x, at):
    x = at.put("one", F.conv1d(F.pad(x, (2, 0)), m.one.weight, m.one.bias), "relu", of=m.one, axis=1)
    z = x + F.conv1d(F.pad(x, (4, 0)), m.two.weight, m.two.bias, dilation=2)
    x = at.put("two", z, "relu", of=m.two, axis=1)
    return at.put("head", linear(x[:, :, -1], m.head), of=m.head)


ANIMALS = (
    Animal("batch-norm cnn", Plain, numbers(16, 1, 8, 8), plain),
    Animal("resnet", ResNet, numbers(16, 1, 8, 8), resnet),
    Animal("pre-activation resnet", PreActivation, numbers(16, 1, 8, 8), pre_activation),
    Animal("u-net", UNet, pictures, unet),
    Animal("sequential of everything", lambda: he(everything()), numbers(16, 1, 8, 8), everything_by_hand),
    Animal("densenet", Dense, numbers(16, 1, 8, 8), dense),
    Animal("squeeze and excitation", Squeezed, numbers(16, 1, 8, 8), squeezed),
    Animal("mobile", Mobile, numbers(16, 1, 8, 8), mobile),
    Animal("causal conv1d", Causal, numbers(16, 3, 12), causal),
)
