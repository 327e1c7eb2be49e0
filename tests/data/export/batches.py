"""The data that the fixtures train on: lists of ({input: tensor}, label), one for each step."""

import math
from pathlib import Path

import numpy as np
import torch

STEPS = 20
TEXT = Path(__file__).resolve().parents[1] / "fixtures" / "genesis.txt"


def digits(batch=32):
    """The digits of scikit-learn in a fixed random order, pixels from 0 to 1."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.RandomState(0).permutation(len(data.target))[: STEPS * batch].reshape(STEPS, batch)
    pixels = torch.tensor(data.data / 16, dtype=torch.float32)
    return [({"pixels": pixels[rows]}, torch.tensor(data.target[rows])) for rows in order]


def text(batch, length, vocab=256):
    """Successive pieces of the text as bytes; the label of a position is the byte after it."""
    tokens = torch.tensor(list(TEXT.read_bytes())) % vocab
    pieces = tokens.unfold(0, length + 1, length)[: STEPS * batch].reshape(STEPS, batch, length + 1)
    return [({"tokens": p[:, :-1].contiguous()}, p[:, 1:].contiguous()) for p in pieces]


def gratings(batches=4, batch=8, size=32, classes=10):
    """Waves of three colours in noise: their direction and their frequency are the class."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    made = []
    for first in range(0, batches * batch, batch):
        label = torch.arange(first, first + batch) * 7 % classes
        angle, phase = label * math.pi / classes, torch.rand(batch, 3, generator=generator) * 2 * math.pi
        wave = (torch.cos(angle)[:, None, None] * x + torch.sin(angle)[:, None, None] * y) * (4 + label)[:, None, None]
        image = torch.sin(wave[:, None] + phase[:, :, None, None])
        made.append(({"image": image + 0.3 * torch.randn(image.shape, generator=generator)}, label))
    return made


def random_features(shape, classes):
    """Normal numbers; the label is which of the first is the largest."""
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(shape, generator=generator) for _ in range(STEPS)]
    return [({"x": x}, x.flatten(1)[:, :classes].argmax(1)) for x in inputs]


def random_tokens(shape, classes, vocab):
    """Uniform tokens; the label follows from the first."""
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randint(vocab, shape, generator=generator) for _ in range(STEPS)]
    return [({"tokens": x}, x[:, 0] * 3 % classes) for x in inputs]
