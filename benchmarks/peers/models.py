"""The models of dmltrain's zoo as PyTorch modules, named as on dmltrain's command line: gpt:layers=4,width=256 or
resnet18. Random weights and random data: only the time of a step is of interest."""

import torch
import torch.nn.functional as F
from torch import nn

DEFAULTS = {
    "gpt": dict(layers=4, width=128, heads=4, seq=64, vocab=256),
    "resnet18": dict(classes=10, image=32),
    "gpt2-124m": dict(layers=12, width=768, heads=12, seq=1024, vocab=50257),
}


def parse(text):
    """The kind and the sizes of "gpt:layers=4,width=256"."""
    kind, _, given = text.partition(":")
    if kind not in DEFAULTS:
        raise ValueError(f"model '{kind}' is none of {', '.join(DEFAULTS)}")
    sizes = dict(DEFAULTS[kind])
    for pair in filter(None, given.split(",")):
        name, _, value = pair.partition("=")
        if name not in sizes:
            raise ValueError(f"'{name}' is none of {kind}'s sizes {', '.join(sizes)}")
        sizes[name] = int(value)
    return kind.replace("gpt2-124m", "gpt"), sizes


class Attention(nn.Module):
    """Causal self-attention with separate projections, which DTensor splits by heads."""

    def __init__(self, width, heads):
        super().__init__()
        self.head_width = width // heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        B, T, _ = x.shape
        q, k, v = (f(x).view(B, T, -1, self.head_width).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, -1))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A decoder whose first and last parts may be absent: so a pipeline stage is the same module with less in it."""

    def __init__(self, layers, width, heads, seq, vocab):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.positions = nn.Parameter(0.02 * torch.randn(seq, width))
        self.blocks = nn.ModuleDict({str(i): Block(width, heads) for i in range(layers)})
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False)

    def keep_stage(self, stage, num_stages):
        """Drops all that does not belong to one of several equal stages."""
        per_stage = len(self.blocks) // num_stages
        for name in [n for n in self.blocks if int(n) // per_stage != stage]:
            del self.blocks[name]
        if stage > 0:
            self.tokens = self.positions = None
        if stage < num_stages - 1:
            self.norm = self.head = None

    def forward(self, x):
        if self.tokens is not None:
            x = self.tokens(x) + self.positions
        for block in self.blocks.values():
            x = block(x)
        return x if self.head is None else self.head(self.norm(x))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def resnet18(classes):
    """ResNet-18 as it is used for 32x32 images: a 3x3 stem and no pooling before the blocks."""
    parts, inputs = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for width in (64, 128, 256, 512):
        for block in range(2):
            parts.append(BasicBlock(inputs, width, 2 if block == 0 and width > 64 else 1))
            inputs = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def make_model(kind, sizes):
    if kind == "gpt":
        return GPT(**sizes)
    return resnet18(sizes["classes"])


def make_batch(kind, sizes, batch):
    """Random inputs and labels of one replica."""
    if kind == "gpt":
        shape = (batch, sizes["seq"])
        return torch.randint(sizes["vocab"], shape), torch.randint(sizes["vocab"], shape)
    image = sizes["image"]
    return torch.randn(batch, 3, image, image), torch.randint(sizes["classes"], (batch,))


def loss(logits, labels):
    return F.cross_entropy(logits.flatten(0, -2).float(), labels.flatten())
