"""The two meta-training examples, at a small size: meta-training has to pay, and every output has to appear."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

pytestmark = pytest.mark.once  # a script

PNG = b"\x89PNG"


@pytest.mark.nightly
def test_meta_training_on_sinusoids_beats_joint_training(console: Console) -> None:
    """After a tenth of the default run, the adapted error is well below the jointly trained network's."""
    sinusoid = importlib.import_module("sinusoid")
    meta, joint = sinusoid.run(200, 0, console)
    assert meta.errors[-1] < 0.7 * joint.errors[-1]
    assert meta.errors[-1] < 0.5 * meta.errors[0]


@pytest.mark.nightly
def test_meta_training_on_digits_beats_joint_training(console: Console) -> None:
    """After a tenth of the default run, far fewer labels are wrong than with the jointly trained network."""
    digits = importlib.import_module("digits")
    meta, joint, untrained = digits.run(150, 0, console)
    assert meta.shares[-1] > joint.shares[-1] + 0.15
    assert abs(untrained.shares[0] - 1 / digits.WAYS) < 0.05, "before adapting, labels are guesses"


@pytest.mark.parametrize("name", ["sinusoid", "digits"])
def test_the_command_prints_a_table_and_saves_a_figure(name: str, tmp_path: Path) -> None:
    """A run of two updates prints every network's row and writes the figure where it was told to."""
    figure = tmp_path / "figure.png"
    result = CliRunner().invoke(importlib.import_module(name).main, ["--steps", "2", "--out", str(figure)])
    assert result.exit_code == 0, result.output
    assert "meta-trained" in result.output
    assert "trained jointly" in result.output
    assert figure.read_bytes().startswith(PNG)


@pytest.mark.parametrize("name", ["sinusoid", "digits"])
def test_help_shows_examples_and_defaults(name: str) -> None:
    """`--help` tells what the options are, what they are by default, and a line to paste."""
    result = CliRunner().invoke(importlib.import_module(name).main, ["--help"])
    assert result.exit_code == 0
    assert f"python examples/{name}.py --steps" in result.output
    assert "default: 0" in result.output


@pytest.mark.parametrize(("option", "value"), [("--steps", "0"), ("--seed", "-1")])
def test_a_wrong_option_is_told(option: str, value: str) -> None:
    """A number out of range ends with exit code 2 and names the option."""
    result = CliRunner().invoke(importlib.import_module("sinusoid").main, [option, value])
    assert result.exit_code == 2
    assert option in result.output


def test_adam_takes_a_first_step_of_the_learning_rate() -> None:
    """With its bias corrections, Adam's first step is the learning rate in the direction of the gradient's sign."""
    adam = importlib.import_module("meta_training").Adam(0.5)
    (layer,) = adam.update([{"w": np.array([1.0, 2.0])}], [{"w": np.array([-3.0, 0.25])}])
    np.testing.assert_allclose(layer["w"], [1.5, 1.5], rtol=1e-6)


def test_a_rate_that_diverges_is_not_chosen() -> None:
    """Tuning passes over a rate whose costs overflow."""
    shared = importlib.import_module("meta_training")
    network = shared.new_network([1, 4, 1], np.random.default_rng(0), bias=1.0)
    x = np.linspace(-5.0, 5.0, 6).reshape(2, 3, 1)
    batch = {part: {"x": x, "y": np.sin(x)} for part in ("support", "query")}
    rate = shared.tuned_rate(batch, importlib.import_module("sinusoid").squared_error, network, 12, [1e3, 1e-3])
    assert rate == 1e-3
