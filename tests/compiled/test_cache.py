"""The disk cache: used again, ignored when damaged or foreign, written whole, closed to others."""

import gc
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.calls import plans, shortcut
from refmaml.compiled.machine import cache, runtime

DATA, THETA = {"x": np.array([[1.0, 2.0], [0.5, -1.0]])}, {"w": np.array([0.3, -0.4])}


def cost(batch, v):
    return ((batch["x"][0] * v["w"] - 0.3125) ** 2).sum()


def step():
    plans.clear()
    shortcut.forget()
    runtime.unload()
    return engine.fomaml_step(DATA, cost, None, THETA, 2, 0.1, batched=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 0)
    monkeypatch.setattr("numba.core.config.BOUNDSCHECK", None)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "code"))
    return tmp_path / "code"


@pytest.fixture
def compilations(monkeypatch):
    made = []
    original = runtime._compiled
    monkeypatch.setattr(runtime, "_compiled", lambda *args: made.append(args) or original(*args))
    return made


def expected():
    return refmaml.fomaml_step(DATA, cost, None, THETA, 2, 0.1, batched=False)[0]


def test_an_entry_saves_the_next_compilation(folder, compilations):
    """The second call finds the first one's machine code in a directory that only its owner may enter."""
    assert step()[0] == pytest.approx(expected(), rel=1e-14)
    assert step()[0] == pytest.approx(expected(), rel=1e-14)
    assert len(compilations) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = {
    "one bit": flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_bytes(b""),
    "another format": lambda path: path.write_bytes(b"\x80\x04\x95" + path.read_bytes()),
    "writable by others": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_an_entry_that_cannot_be_trusted_is_ignored_and_made_anew(folder, compilations, damage):
    """A damaged entry, or one that others may write, costs one compilation, and what replaces it is used again."""
    step()
    (entry,) = folder.iterdir()
    damage(entry)
    assert step()[0] == pytest.approx(expected(), rel=1e-14)
    assert len(compilations) == 2
    assert step()[0] == pytest.approx(expected(), rel=1e-14)
    assert len(compilations) == 2


def test_an_entry_under_another_name_is_ignored(folder):
    """Code that lies under a name which is not its own is not loaded."""
    step()
    (entry,) = folder.iterdir()
    stranger = folder / ("0" * 64)
    os.rename(entry, stranger)
    assert cache.load(stranger.name) is None


def test_a_directory_that_others_can_write_to_is_not_used(folder, compilations):
    """Where others may put code into the directory nothing in it is run."""
    step()
    folder.chmod(0o777)
    step()
    assert len(compilations) == 2


def test_a_link_to_an_entry_elsewhere_is_not_followed(folder, tmp_path, compilations):
    """A symbolic link in place of an entry is compiled anew, whatever it leads to."""
    step()
    (entry,) = folder.iterdir()
    os.rename(entry, tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    step()
    assert len(compilations) == 2


def test_the_name_depends_on_source_types_and_surroundings(monkeypatch):
    """Other source, other types or another machine look for their code under another name."""
    name = cache.key("source", "kernels", ["<f4"])
    assert name != cache.key("source ", "kernels", ["<f4"])
    assert name != cache.key("source", "kernels", ["<f8"])
    monkeypatch.setattr(cache, "_surroundings", lambda: ("another machine",))
    assert name != cache.key("source", "kernels", ["<f4"])


@pytest.mark.parametrize("module", ["errors.py", "lowering/rules.py"])
def test_the_name_depends_on_every_module_of_the_engine(module, monkeypatch, tmp_path):
    """A change in any module, in a folder below or not, gives entries another name; a copy elsewhere does not."""
    before = cache._own_code()
    copy = tmp_path / "compiled"
    shutil.copytree(Path(engine.__file__).parent, copy)
    monkeypatch.setattr(engine, "__file__", str(copy / "__init__.py"))
    assert cache._own_code() == before
    (copy / module).write_text((copy / module).read_text("utf-8") + "\n", "utf-8")
    assert cache._own_code() != before


def test_without_a_directory_nothing_is_kept(monkeypatch, folder, compilations):
    """With an empty variable every call of a new plan compiles, and no directory is made."""
    monkeypatch.setenv(cache.VARIABLE, "")
    step()
    step()
    assert len(compilations) == 2
    assert not folder.exists()


_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import test_cache
from refmaml.compiled.calls import planning
from refmaml.compiled.machine import cache, runtime
steps, names = [], []
executable, load = planning.executable, cache.load
planning.executable = lambda step: steps.append(step) or executable(step)
cache.load = lambda name: names.append(name) or load(name)
print(test_cache.step()[0], "numba" in sys.modules)
symbol, driver, bodies = runtime.assembly_of(steps[0])
print(type(sys.modules["numba"]).__name__, load(names[0]).symbol == symbol, "first_order" in symbol)
print(f"@{symbol}(" in driver, "call i64 @inner(" in driver, 'define i64 @"inner"' in bodies, " 0x3fd4" in bodies)
"""


def test_a_cold_step_is_a_function_of_numbas_and_a_warm_one_needs_no_numba(folder):
    """A first process has Numba compile the driver that calls the cost; a second one runs that, and loads no Numba."""
    here = os.path.dirname(os.path.abspath(__file__))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", _CHILD, here], check=True, capture_output=True, text=True, env=environment
        ).stdout.splitlines()
        for _ in range(2)
    )
    assert cold[0].split()[0] == warm[0].split()[0]
    assert [lines[0].split()[1] for lines in (cold, warm)] == ["True", "False"]
    assert cold[1:] == warm[1:] == ["module True True", "True True True True"]


@pytest.mark.parametrize("take", [engine.fomaml_step, engine.maml_step])
@pytest.mark.parametrize("shape", [(2, 2), (2, 2000)], ids=["several tasks at once", "one task at a time"])
def test_machine_code_calls_nothing_of_numbas_or_of_pythons(folder, take, shape):
    """An entry has no references that only a process with Numba could resolve."""
    plans.clear()
    shortcut.forget()
    runtime.unload()
    take({"x": np.ones(shape)}, cost, None, {"w": np.ones(shape[1])}, 1, 0.1, batched=False)
    (entry,) = folder.iterdir()
    code = cache.load(entry.name).code
    assert b"\0cfunc." in code
    assert not re.findall(rb"\0((?:numba_|NRT_|Py)\w+)", code)


def test_numba_compiles_a_driver_once_and_not_for_each_cost(folder, compilations):
    """A second cost is compiled around the driver that Numba has compiled for the first one."""
    from refmaml.compiled.machine.numba_target import compiled

    step()
    before = compiled.cache_info()
    data, theta = {"x": np.ones((2, 7))}, {"w": np.ones(7)}
    engine.fomaml_step(data, cost, None, theta, 1, 0.1, batched=False)
    assert len(compilations) == 2
    assert compiled.cache_info().misses == before.misses


def test_machine_code_goes_with_the_last_plan_that_runs_it(monkeypatch):
    """With room for two plans no more than two programs stay in memory, however many were compiled."""
    for module in (plans, shortcut):
        monkeypatch.setattr(module, "_KEPT", 2)
    step()
    for width in (3, 4, 5, 6):
        data, theta = {"x": np.ones((2, width))}, {"w": np.ones(width)}
        engine.fomaml_step(data, cost, None, theta, 1, 0.1, batched=False)
    gc.collect()
    assert 1 <= len(runtime._loaded) <= 2
