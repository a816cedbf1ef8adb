"""Networks of one's own as people have them: a perceptron, a transformer, convolutions with batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Network:
    """A network, its loss and how its tasks are made; K and α of its inner loop."""

    name: str
    make: Callable[[], nn.Module]
    loss: Callable[[Any, Batch], torch.Tensor]
    tasks: Callable[[int], list[tuple[Batch, Batch]]]
    inner_steps: int
    inner_learning_rate: float

    def model(self, seed: int) -> nn.Module:
        """Return the network with random weights."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.make()


def _squares(model: Any, batch: Batch) -> torch.Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def _cross_entropy(model: Any, batch: Batch) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def _perceptron(*widths: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Transformer(nn.Module):
    """Sequences of tokens [N, length] to classes: two layers of attention, and the mean over the sequence."""

    def __init__(self, tokens: int = 30, length: int = 12, width: int = 32, ways: int = 5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.position = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, ways)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits [N, ways]."""
        with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
            return self.head(self.encoder(self.embedding(tokens) + self.position).mean(1))


class Conv4(nn.Module):
    """Four blocks of convolution, batch normalisation, ReLU and max pooling on 28×28 (Vinyals et al., 2016)."""

    def __init__(self, channels: int = 64, ways: int = 5) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before in (1, *[channels] * 3):
            blocks += [nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, ways)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits [N, ways] of images [N, 1, 28, 28]."""
        return self.head(self.features(images).flatten(1))


def _sines(seed: int) -> list[tuple[Batch, Batch]]:
    """Regression: ten support and ten query points of four sine curves."""
    random = torch.Generator().manual_seed(seed)

    def batch(amplitude: torch.Tensor, phase: torch.Tensor, rows: int) -> Batch:
        x = 10 * torch.rand(rows, 1, generator=random) - 5
        return x, amplitude * torch.sin(x + phase)

    curves = [(torch.rand(1, generator=random) * 4 + 1, torch.rand(1, generator=random) * 3) for _ in range(4)]
    return [(batch(*curve, 10), batch(*curve, 10)) for curve in curves]


def _vectors(seed: int) -> list[tuple[Batch, Batch]]:
    random = torch.Generator().manual_seed(seed)

    def batch() -> Batch:
        return torch.randn(5, 1000, generator=random), torch.randn(5, 10, generator=random)

    return [(batch(), batch()) for _ in range(2)]


def _classes(prototype: Callable[[torch.Generator], torch.Tensor], spoil: Callable[..., torch.Tensor]) -> Any:
    """Return what makes tasks of five classes, each a prototype with noise: one support shot, three queries."""

    def tasks(seed: int) -> list[tuple[Batch, Batch]]:
        random = torch.Generator().manual_seed(seed)
        found = []
        for _ in range(4):
            prototypes = torch.stack([prototype(random) for _ in range(5)])
            labels = [torch.arange(5).repeat(shots) for shots in (1, 3)]
            batches = [(spoil(prototypes[label], random), label) for label in labels]
            found.append((batches[0], batches[1]))
        return found

    return tasks


def _noisy(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    return images + 0.5 * torch.randn(images.shape, generator=random)


def _misspelt(tokens: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    spoilt = torch.rand(tokens.shape, generator=random) < 0.2
    return torch.where(spoilt, torch.randint(0, 30, tokens.shape, generator=random), tokens)


PERCEPTRON = Network("perceptron 1-40-40-1", lambda: _perceptron(1, 40, 40, 1), _squares, _sines, 5, 0.01)
TRANSFORMER = Network(
    "transformer, two layers of 32", Transformer, _cross_entropy,
    _classes(lambda random: torch.randint(0, 30, (12,), generator=random), _misspelt), 3, 0.1,
)  # fmt: skip
CONV4 = Network(
    "conv4 with batch norm, 28×28", Conv4, _cross_entropy,
    _classes(lambda random: torch.randn(1, 28, 28, generator=random), _noisy), 5, 0.4,
)  # fmt: skip
LARGE = Network(
    "perceptron of 10⁷ parameters", lambda: _perceptron(1000, 2500, 2500, 500, 10), _squares, _vectors, 3, 0.01
)
