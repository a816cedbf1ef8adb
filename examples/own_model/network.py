"""A convolutional network with batch normalisation, as few-shot learners have it (Vinyals et al., 2016), and tasks."""

from __future__ import annotations

import torch
from torch import nn

WAYS, SHOTS, QUERIES, TASKS = 3, 2, 4, 3
INNER_STEPS, INNER_RATE = 3, 0.2


class ConvNet(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU and max pooling, and a linear head."""

    def __init__(self, ways: int = WAYS, channels: int = 6, blocks: int = 2, size: int = 8) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for block in range(blocks):
            # The bias is without effect before batch normalisation, and stands there in most code all the same.
            layers += [
                nn.Conv2d(1 if block == 0 else channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels * (size // 2**blocks) ** 2, ways)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits [N, ways] of images [N, 1, size, size]."""
        return self.head(self.features(images).flatten(1))


def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the mean cross-entropy of a batch of images and labels."""
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


Task = tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def make_tasks(seed: int, count: int = TASKS, size: int = 8) -> list[Task]:
    """Return pairs of a support and a query batch: classes are random prototypes with noise."""
    random = torch.Generator().manual_seed(seed)
    tasks = []
    for _ in range(count):
        prototypes = torch.randn(WAYS, 1, size, size, generator=random)
        batches = []
        for per_class in (SHOTS, QUERIES):
            labels = torch.arange(WAYS).repeat(per_class)
            noise = torch.randn(len(labels), 1, size, size, generator=random)
            batches.append((prototypes[labels] + 0.5 * noise, labels))
        tasks.append((batches[0], batches[1]))
    return tasks


def make_model(seed: int) -> ConvNet:
    """Return a network with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ConvNet()
