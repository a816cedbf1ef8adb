"""For each way in which a cost can hide a value from the tracer: an error that names the line, or a new trace."""

import abc
import decimal
import functools
import math
import operator
import random
import sys
import threading
import weakref
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from functools import cached_property, wraps
from importlib import import_module
from operator import attrgetter, itemgetter, methodcaller
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import autograd.extend
import autograd.numpy as anp
import numpy as np
import pytest
from autograd.tracer import getval
from numpy import load as load_array
from problems import assert_same_answer
from scipy.special import expit

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import CompilationFallback, UnsupportedPrimitive, ValueDependence
from refmaml.compiled.guarding.guards import Guard

DATA = {"x": np.random.default_rng(5).normal(size=(3, 4)) + 0.3}
THETA = {"w": np.array([0.3, -0.2, 0.5, 0.1])}


def squares(scale, batch, v):
    return anp.sum((batch["x"][0] * v["w"] * scale - 1.0) ** 2)


READS = {
    "if on data": lambda b, v: squares(2.0 if b["x"][0, 0] > 0 else 1.0, b, v),
    "if on a variable": lambda b, v: squares(2.0 if v["w"][0] > 0 else 1.0, b, v),
    "while": lambda b, v: squares(next(n for n in range(9) if anp.sum(b["x"]) < n + 9), b, v),
    "float of data": lambda b, v: squares(float(b["x"][0, 0]), b, v),
    "int of data": lambda b, v: squares(int(b["x"][0, 0]), b, v),
    "item of data": lambda b, v: squares(b["x"][0, 0].item(), b, v),
    "tolist of data": lambda b, v: squares(b["x"].tolist()[0][0], b, v),
    "text of data": lambda b, v: squares(len(str(b["x"])), b, v),
    "_value of data": lambda b, v: squares(getattr(b["x"][0, 0], "_value", 1.0), b, v),
    "_value of a variable": lambda b, v: squares(v["w"]._value[0], b, v),
    "getval of a variable": lambda b, v: squares(getval(v["w"])[0], b, v),
    "plain array of data": lambda b, v: squares(np.asarray(b["x"], order="F")[0, 0], b, v),
    "index by data": lambda b, v: squares(1.0, b, v) * THETA["w"][np.argmax(b["x"][0])],
    "round of data": lambda b, v: squares(round(b["x"][0, 0]), b, v),
    "max of Python": lambda b, v: squares(max(b["x"][0, 0], b["x"][0, 1]), b, v),
    "integer type of autograd": lambda b, v: squares(anp.int64(b["x"][0, 0] * 10), b, v),
}


@pytest.mark.parametrize("cost", READS.values(), ids=READS)
def test_reading_a_value_is_refused_with_the_line(cost):
    """A cost that turns a traced value into a number or a truth is refused, and the message says where it does."""
    with pytest.raises(ValueDependence, match=r"test_hidden_values\.py:\d+"):
        engine.fomaml_step(DATA, cost, None, THETA, 2, 0.1, batched=False)


@pytest.mark.parametrize("cost", [READS["float of data"], READS["if on a variable"]])
def test_or_the_reference_answers_with_a_warning(cost):
    """With `on_unsupported` the reference's own answer comes, bit by bit, and a warning says why."""
    options = {"batched": False}
    with pytest.warns(CompilationFallback, match="reads a value"):
        got = engine.fomaml_step(DATA, cost, None, THETA, 2, 0.1, on_unsupported="reference", **options)
    expected = refmaml.fomaml_step(DATA, cost, None, THETA, 2, 0.1, **options)
    assert got[0] == expected[0]
    np.testing.assert_array_equal(got[1]["w"], expected[1]["w"])


def test_isinstance_answers_as_in_the_reference():
    """Data are arrays and variables are not, to `isinstance`, in the engine as in the reference."""

    def cost(b, v):
        return squares(2.0 if isinstance(b["x"], np.ndarray) and not isinstance(v["w"], np.ndarray) else 1.0, b, v)

    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, DATA, cost, None, THETA, 2, 0.1, batched=False)


def by_exact_type(b, v):
    return squares(2.0 if type(b["x"]) is np.ndarray else 1.0, b, v)


@pytest.mark.parametrize("step", [engine.fomaml_step, engine.maml_step], ids=["first order", "second order"])
@pytest.mark.parametrize("outer", [None, lambda b, v: squares(0.5, b, v)], ids=["both", "inner alone"])
def test_looking_at_the_exact_type_is_refused(step, outer):
    """A cost that asks for the exact type of an array would answer otherwise on plain arrays, and is refused."""
    with pytest.raises(ValueDependence, match="plain arrays"):
        step(DATA, by_exact_type, outer, THETA, 2, 0.1, batched=False)


def test_looking_at_the_exact_type_is_refused_in_reptile():
    """Reptile refuses a cost that asks for an exact type as the other steps do."""
    with pytest.raises(ValueDependence, match="plain arrays"):
        engine.reptile_step(DATA, by_exact_type, THETA, 2, {"w": 0.1}, batched=False)


def _closure():
    scale = 2.0

    def cost(b, v):
        return squares(scale, b, v)

    def change():
        nonlocal scale
        scale = -0.5

    return cost, change


def _array_in_a_closure():
    scales = np.array([1.0, 2.0, 3.0, 4.0])
    return (lambda b, v: squares(scales, b, v)), lambda: scales.__setitem__(1, -7.0)


def _member_of_a_list():
    settings = [{"scale": 2.0}]
    return (lambda b, v: squares(settings[0]["scale"], b, v)), lambda: settings[0].update(scale=3.0)


def _attribute():
    settings = SimpleNamespace(scale=2.0)
    return (lambda b, v: squares(settings.scale, b, v)), lambda: setattr(settings, "scale", 3.0)


class Model:
    """A cost with state."""

    power = 1.0

    def __init__(self):
        self.scale = 2.0

    def cost(self, b, v):
        """Use an attribute of the object and one of its class."""
        return squares(self.scale * self.power, b, v)


def _method():
    model = Model()
    return model.cost, lambda: setattr(model, "scale", 3.0)


def _attribute_of_a_class():
    class Changing(Model):
        power = 1.0

    return Changing().cost, lambda: setattr(Changing, "power", 2.5)


def _default_argument():
    scales = np.ones(4)

    def cost(b, v, scales=scales):
        return squares(scales, b, v)

    return cost, lambda: scales.__setitem__(0, 5.0)


def _function_behind_a_function():
    factor = {"f": 2.0}

    def helper():
        return factor["f"]

    return (lambda b, v: squares(helper(), b, v)), lambda: factor.update(f=0.3)


def _global():
    globals()["SCALE"] = 2.0
    return (lambda b, v: squares(SCALE, b, v)), lambda: globals().update(SCALE=3.0)  # noqa: F821 - it is set above


def _looked_up_by_getattr():
    settings = SimpleNamespace(scale=2.0)
    name = "scale"
    return (lambda b, v: squares(getattr(settings, name), b, v)), lambda: setattr(settings, "scale", 3.0)


@contextmanager
def _settings(**members):
    """Yield a module of the user's."""
    module = ModuleType("settings_of_this_test")
    vars(module).update(members)
    package = ModuleType("package_of_this_test")
    package.settings, package.__path__ = module, []
    known = {part.__name__: part for part in (module, package)} | {"package_of_this_test.settings": module}
    sys.modules.update(known)
    yield module
    for name in known:
        del sys.modules[name]


def _members_of_a_module_by_two_functions(module):
    def first():
        return module.scale

    return (lambda b, v: squares(first() * module.other, b, v)), lambda: setattr(module, "other", 3.0)


def _module_behind_an_object(module):
    class Holder:
        def __init__(self):
            self.module = module

        def cost(self, b, v):
            return squares(self.module.scale, b, v)

    return Holder().cost, lambda: setattr(module, "scale", 3.0)


def _dictionary_of_a_module(module):
    return (lambda b, v: squares(module.__dict__["scale"], b, v)), lambda: setattr(module, "scale", 3.0)


def _attrgetter(module):
    name = "scale"
    return (lambda b, v: squares(attrgetter(name)(module), b, v)), lambda: setattr(module, "scale", 3.0)


def _kept_attrgetter(module):
    read = attrgetter("scale")
    return (lambda b, v: squares(read(module), b, v)), lambda: setattr(module, "scale", 3.0)


def _disguised_as_a_library(module):
    @wraps(np.sin)
    def scaled(x):
        return module.scale * x

    return (lambda b, v: squares(scaled(2.0), b, v)), lambda: setattr(module, "scale", 3.0)


def _behind_a_decorator_of_a_library(module):
    @autograd.extend.primitive
    def scaled(x):
        return module.scale * x

    return (lambda b, v: squares(scaled(2.0), b, v)), lambda: setattr(module, "scale", 3.0)


def _relative_import_inside(module):
    space = {"__package__": "package_of_this_test", "squares": squares}
    exec("def cost(b, v):\n    from . import settings\n    return squares(settings.scale, b, v)\n", space)
    return space["cost"], lambda: setattr(module, "scale", 3.0)


def _import_inside(module):
    def cost(b, v):
        import settings_of_this_test as inside

        return squares(inside.scale, b, v)

    return cost, lambda: setattr(module, "scale", 3.0)


def _import_by_name(module):
    return (lambda b, v: squares(import_module(module.__name__).scale, b, v)), lambda: setattr(module, "scale", 3.0)


def _operator_of_a_class(module):
    class Scale:
        def __mul__(self, x):
            return module.scale * x

    return (lambda b, v: squares(Scale() * 2.0, b, v)), lambda: setattr(module, "scale", 3.0)


def _deque():
    scales = deque([2.0])
    return (lambda b, v: squares(scales[0], b, v)), lambda: scales.append(scales.popleft() + 1.0)


def _bytearray():
    scales = bytearray([2])
    return (lambda b, v: squares(float(scales[0]), b, v)), lambda: scales.__setitem__(0, 3)


def _memoryview():
    memory = np.array([2.0])
    scales = memoryview(memory)
    return (lambda b, v: squares(scales[0], b, v)), lambda: memory.__setitem__(0, 3.0)


def _attribute_of_a_function():
    def cost(b, v):
        return squares(cost.scale, b, v)

    cost.scale = 2.0
    return cost, lambda: setattr(cost, "scale", 3.0)


def _attribute_of_a_metaclass():
    class Meta(type):
        scale = 2.0

    class Settings(metaclass=Meta):
        pass

    return (lambda b, v: squares(Settings.scale, b, v)), lambda: setattr(Meta, "scale", 3.0)


def _slot():
    class Settings:
        __slots__ = ("scale",)

    settings = Settings()
    settings.scale = 2.0
    return (lambda b, v: squares(settings.scale, b, v)), lambda: setattr(settings, "scale", 3.0)


def _weak_reference():
    model = Model()
    reference = weakref.ref(model)
    return (lambda b, v: squares(reference().scale, b, v)), lambda: setattr(model, "scale", 3.0)


def _tensor():
    """A tensor of PyTorch, whose numbers are where Python cannot see them."""
    numbers = [2.0]
    kind = type("Tensor", (), {"item": lambda self: numbers[0], "__module__": "torch"})
    tensor = kind()
    return (lambda b, v: squares(tensor.item(), b, v)), lambda: numbers.__setitem__(0, 3.0)


def _attribute_of_a_subclass():
    class Base:
        scale = 2.0

    class Sub(Base):
        pass

    return (lambda b, v: squares(Sub.scale, b, v)), lambda: setattr(Sub, "scale", 3.0)


def _bases_of_a_class():
    class Base:
        scale = 2.0

    class Other:
        scale = 3.0

    class Sub(Base):
        pass

    return (lambda b, v: squares(Sub.scale, b, v)), lambda: setattr(Sub, "__bases__", (Other,))


def _attribute_of_an_instance(kind, *args):
    """Return a maker of a cost that reads an attribute of an instance of a subclass."""

    def make():
        sub = type("Sub", (kind,), {})
        settings = np.ones(3).view(sub) if kind is np.ndarray else sub(*args)
        settings.scale = 2.0
        return (lambda b, v: squares(settings.scale, b, v)), lambda: setattr(settings, "scale", 3.0)

    make.__name__ = f"_attribute_of_a_{kind.__name__}"
    return make


def _subclass_without_attributes(module):
    class Number(float):
        __slots__ = ()

        def doubled(self):
            return self * module.scale

    number = Number(1.0)
    return (lambda b, v: squares(number.doubled(), b, v)), lambda: setattr(module, "scale", 3.0)


def _method_of_a_named_tuple(module):
    class Settings(NamedTuple):
        power: float

        def scale(self):
            return self.power * module.scale

    settings = Settings(1.0)
    return (lambda b, v: squares(settings.scale(), b, v)), lambda: setattr(module, "scale", 3.0)


def _function_in_a_set(module):
    def scaled():
        return module.scale

    terms = frozenset({scaled})
    return (lambda b, v: squares(sum(term() for term in terms), b, v)), lambda: setattr(module, "scale", 3.0)


def _key_of_a_dictionary():
    model = Model()
    table = {model: 1.0}
    return (lambda b, v: squares(sum(entry.scale for entry in table), b, v)), lambda: setattr(model, "scale", 3.0)


def _methodcaller():
    scales = np.array([2.0, 1.0])
    call = methodcaller("dot", scales)
    return (lambda b, v: squares(call(np.ones(2)), b, v)), lambda: scales.__setitem__(0, 3.0)


def _methodcaller_with_keywords():
    scales = np.array([2.0, 1.0])
    call = methodcaller("dot", b=scales)
    holder = type("Holder", (), {"dot": lambda self, b: b[0]})()
    return (lambda b, v: squares(call(holder), b, v)), lambda: scales.__setitem__(0, 3.0)


def _methodcaller_of_a_module(module):
    module.scaled = lambda: 2.0
    call = methodcaller("scaled")
    return (lambda b, v: squares(call(module), b, v)), lambda: setattr(module, "scaled", lambda: 3.0)


def _itemgetter():
    class Index:
        scale = 0

        def __index__(self):
            return self.scale

    index = Index()
    read = itemgetter(index)
    return (lambda b, v: squares(read([2.0, 3.0]), b, v)), lambda: setattr(index, "scale", 1)


def _class_of_an_object():
    class First:
        def scale(self):
            return 2.0

    class Second:
        def scale(self):
            return 3.0

    model = First()
    return (lambda b, v: squares(model.scale(), b, v)), lambda: setattr(model, "__class__", Second)


def _in_a_namespace(source, **later):
    """Return a cost written as source, and what defines more globals for it."""
    space = {"squares": squares}
    exec(source, space)
    return space["cost"], lambda: space.update(later)


def _builtin_that_is_shadowed_later():
    return _in_a_namespace("def cost(b, v):\n    return squares(abs(-2.0), b, v)", abs=lambda x: 3.0)


def _global_that_is_defined_later():
    source = """
def cost(b, v):
    try:
        scale = LATER
    except NameError:
        scale = 2.0
    return squares(scale, b, v)
"""
    return _in_a_namespace(source, LATER=3.0)


def _global_inside_a_class():
    source = """
def cost(b, v):
    class Inside:
        try:
            scale = LATER
        except NameError:
            scale = 2.0
    return squares(Inside.scale, b, v)
"""
    return _in_a_namespace(source, LATER=3.0)


def _whether_a_class_has():
    class Settings:
        pass

    return (
        (lambda b, v: squares(2.0 if hasattr(Settings, "later") else 1.0, b, v)),
        lambda: setattr(Settings, "later", None),
    )


def _whether_a_module_has(module):
    return (
        (lambda b, v: squares(2.0 if hasattr(module, "later") else 1.0, b, v)),
        lambda: setattr(module, "later", None),
    )


def _what_an_abstract_class_takes():
    class Takes(abc.ABC):  # noqa: B024 - it only takes others in
        pass

    return (lambda b, v: squares(2.0 if issubclass(int, Takes) else 1.0, b, v)), lambda: Takes.register(int)


def _array_of_a_cache(cache):
    def make():
        @cache
        def scales(number):
            return np.ones(number)

        return (lambda b, v: squares(scales(4), b, v)), lambda: scales(4).__setitem__(1, -7.0)

    make.__name__ = f"array_of_{cache.__name__}"
    return make


def _cleared_cache():
    scale = [2.0]

    @functools.lru_cache
    def kept():
        return scale[0]

    def change():
        scale[0] = 3.0
        kept.cache_clear()

    return (lambda b, v: squares(kept(), b, v)), change


def _ufunc_of_a_closure():
    scale = [2.0]
    scaled = np.frompyfunc(lambda x: x * scale[0], 1, 1)
    return (lambda b, v: squares(float(scaled(1.0)), b, v)), lambda: scale.__setitem__(0, -0.5)


def _kind_of_a_key():
    settings = {1: 2.0}

    def change():
        settings.clear()
        settings[True] = 2.0

    return (lambda b, v: squares(3.0 if type(next(iter(settings))) is bool else 2.0, b, v)), change


def _order_of_a_set():
    scales = {8, 0}

    def change():
        before = list(scales)
        scales.clear()
        scales.update(reversed(before))
        assert list(scales) != before

    return (lambda b, v: squares(2.0 + next(iter(scales)), b, v)), change


def _flag_of_an_array():
    scales = np.ones(4)
    return (
        lambda b, v: squares(2.0 if scales.flags.writeable else 3.0, b, v),
        lambda: setattr(scales.flags, "writeable", False),
    )


KINDS = ((dict,), (tuple,), (list,), (set,), (float, 1.0), (int, 1), (str, "a"), (np.ndarray,), (Fraction, 1))
CHANGES = [
    *(_attribute_of_an_instance(*kind) for kind in KINDS),
    *(_array_of_a_cache(memory) for memory in (functools.cache, functools.lru_cache)),
    _cleared_cache,
    _ufunc_of_a_closure,
    _kind_of_a_key,
    _order_of_a_set,
    _flag_of_an_array,
    _attribute_of_a_subclass,
    _bases_of_a_class,
    _key_of_a_dictionary,
    _methodcaller,
    _methodcaller_with_keywords,
    _itemgetter,
    _class_of_an_object,
    _builtin_that_is_shadowed_later,
    _global_that_is_defined_later,
    _global_inside_a_class,
    _whether_a_class_has,
    _what_an_abstract_class_takes,
    _tensor,
    _deque,
    _bytearray,
    _memoryview,
    _attribute_of_a_function,
    _attribute_of_a_metaclass,
    _slot,
    _weak_reference,
    _closure,
    _array_in_a_closure,
    _member_of_a_list,
    _attribute,
    _method,
    _attribute_of_a_class,
    _default_argument,
    _function_behind_a_function,
    _global,
    _looked_up_by_getattr,
]
OF_MODULES = [
    _members_of_a_module_by_two_functions, _module_behind_an_object, _dictionary_of_a_module, _attrgetter,
    _kept_attrgetter, _disguised_as_a_library, _behind_a_decorator_of_a_library, _relative_import_inside,
    _import_inside, _import_by_name, _operator_of_a_class, _subclass_without_attributes, _method_of_a_named_tuple,
    _function_in_a_set, _methodcaller_of_a_module, _whether_a_module_has,
]  # fmt: skip


@pytest.mark.parametrize("make", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_what_a_cost_sees_may_change_between_calls(make):
    """What a cost reads besides its arguments may change between two calls: both answers are the reference's."""
    cost, change = make()
    args = (DATA, cost, None, THETA, 2, 0.1)
    before = assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)
    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)
    change()
    after = assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)
    assert before[0] != after[0]


@pytest.mark.parametrize("make", OF_MODULES, ids=lambda change: change.__name__.strip("_"))
def test_a_member_of_a_module_may_change_between_calls(make):
    """A member of a module may change between calls, however the cost comes to it."""
    with _settings(scale=2.0, other=0.5) as module:
        test_what_a_cost_sees_may_change_between_calls(lambda: make(module))


READERS = {
    "load": (lambda path: np.load(path)[0], np.save),
    "load of autograd": (lambda path: anp.load(path)[0], np.save),
    "loadtxt": (np.loadtxt, np.savetxt),
    "genfromtxt": (lambda path: np.genfromtxt(path) * 1.0, np.savetxt),
    "fromfile": (lambda path: np.fromfile(path)[0], lambda path, array: array.tofile(path)),
    "memmap": (lambda path: np.memmap(path, float)[0], lambda path, array: array.tofile(path)),
    "imported": (lambda path: load_array(path)[0], np.save),
}


@pytest.mark.parametrize(("read", "write"), READERS.values(), ids=READERS)
def test_a_file_may_change_between_calls(read, write, tmp_path):
    """A cost that reads a file answers by what is in the file at each call."""
    path = str(tmp_path / "array.npy")
    write(path, np.array([2.0]))
    cost = lambda b, v: squares(read(path), b, v)  # noqa: E731 - so that the case is one line
    test_what_a_cost_sees_may_change_between_calls(lambda: (cost, lambda: write(path, np.array([3.0]))))


def test_a_builtin_may_come_between_calls(monkeypatch):
    """A name that the cost finds among the builtins may have another value at the next call."""
    cost, _ = _in_a_namespace("def cost(b, v): return squares(scale_of_all, b, v)")
    monkeypatch.setattr("builtins.scale_of_all", 2.0, raising=False)
    test_what_a_cost_sees_may_change_between_calls(
        lambda: (cost, lambda: monkeypatch.setattr("builtins.scale_of_all", 3.0))
    )


def test_the_decimal_context_may_change_between_calls():
    """A quotient of decimal numbers is computed anew when the context's precision has changed."""

    def cost(b, v):
        return squares(float(decimal.Decimal(1) / decimal.Decimal(3)), b, v)

    with decimal.localcontext():
        test_what_a_cost_sees_may_change_between_calls(lambda: (cost, lambda: setattr(decimal.getcontext(), "prec", 2)))


@pytest.mark.parametrize("thing", [decimal, decimal.Decimal, decimal.Decimal(2), decimal.getcontext])
def test_all_of_decimal_depends_on_its_context(thing):
    """A guard on anything of the module `decimal` holds only in the context in which it was made."""
    guard = Guard(lambda: thing)
    assert guard.holds()
    with decimal.localcontext() as context:
        context.prec = 2
        assert not guard.holds()
    assert guard.holds()


def test_a_function_of_the_interpreter_may_answer_differently():
    """What a function of `sys` answers is asked again at each call."""
    limit = sys.getrecursionlimit()
    try:
        test_what_a_cost_sees_may_change_between_calls(
            lambda: (
                lambda b, v: squares(sys.getrecursionlimit() / limit, b, v),
                lambda: sys.setrecursionlimit(2 * limit),
            )
        )
    finally:
        sys.setrecursionlimit(limit)


def test_classes_that_others_register_meanwhile_change_nothing():
    """A cost that asks for an abstract class is compiled while another thread registers classes elsewhere."""

    class Takes(abc.ABC):  # noqa: B024 - it only takes others in
        pass

    class Elsewhere(abc.ABC):  # noqa: B024 - as above
        pass

    def cost(b, v):
        return squares(2.0 if issubclass(int, Takes) else 1.0, b, v)

    done = threading.Event()

    def register():
        while not done.wait(1e-5):
            Elsewhere.register(type("Registered", (), {}))

    other = threading.Thread(target=register)
    other.start()
    try:
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, DATA, cost, None, THETA, 2, 0.1, batched=False)
    finally:
        done.set()
        other.join()


def test_what_a_registered_abstract_class_takes_is_compared():
    """A class that an abstract class takes only because another one that it has registered does is a new trace."""

    class Takes(abc.ABC):  # noqa: B024 - it only takes others in
        pass

    class Registered(abc.ABC):  # noqa: B024 - as above
        pass

    Takes.register(Registered)

    def cost(b, v):
        return squares(2.0 if issubclass(int, Takes) else 1.0, b, v)

    for _ in range(2):
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, DATA, cost, None, THETA, 2, 0.1, batched=False)
        Registered.register(int)


def test_a_thread_may_see_something_else():
    """A thread that has another value in a `threading.local` has another answer, which is the reference's."""
    settings = threading.local()
    settings.scale = 2.0

    def cost(b, v):
        return squares(settings.scale, b, v)

    def elsewhere():
        settings.scale = 3.0
        return assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)

    args = (DATA, cost, None, THETA, 2, 0.1)
    before = assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)
    with ThreadPoolExecutor(1) as pool:
        after = pool.submit(elsewhere).result()
    assert before[0] != after[0]


@pytest.mark.parametrize("place", ["variables", "inside of the variables", "batch"])
def test_a_method_of_a_container_may_change_between_calls(place):
    """What a method of a container reads, of the batch or of the variables, may change between calls."""
    with _settings(scale=2.0) as module:

        class Part(NamedTuple):
            value: object

            def scaled(self):
                return module.scale * self.value

        data, theta = DATA["x"], THETA["w"]
        cost, batch, variables = {
            "variables": (lambda b, v: squares(1.0, {"x": b}, {"w": v.scaled()}), data, Part(theta)),
            "inside of the variables": (lambda b, v: squares(1.0, {"x": b}, {"w": v[0].scaled()}), data, [Part(theta)]),
            "batch": (lambda b, v: squares(1.0, {"x": b.scaled()}, {"w": v}), Part(data), theta),
        }[place]
        args = (batch, cost, None, variables, 2, 0.1)
        before = assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)
        module.scale = 3.0
        after = assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)
        assert before[0] != after[0]


def _enumeration():
    kind = IntEnum("Kind", ["ONE", "TWO"])
    return lambda b, v: squares(float(kind.TWO), b, v)


def _named_tuple():
    settings = namedtuple("Settings", "scale")(2.0)
    return lambda b, v: squares(settings.scale, b, v)


def _containers():
    table = defaultdict(float, scale=2.0), OrderedDict(scale=2.0)
    return lambda b, v: squares(table[0]["scale"] * table[1]["scale"], b, v)


def _c_functions():
    times, total = operator.mul, functools.reduce
    return lambda b, v: squares(total(times, (1.0, math.sqrt(4.0), np.dot(1.0, 1.0), abs(-1.0))), b, v)


def _cached_function():
    @functools.lru_cache
    def scales(number):
        return np.ones(number)

    scales(4)
    return lambda b, v: squares(scales(4), b, v)


def _ufuncs():
    ones = np.frompyfunc(lambda x: x, 1, 1)
    return lambda b, v: squares(float(ones(np.add(1.0, expit(0.0)))), b, v)


def _imported_functions():
    dot, tanh = anp.dot, anp.tanh
    return lambda b, v: dot(tanh(v["w"]), v["w"])


def _implementation_of_an_abstract_class():
    class Scale(abc.ABC):
        @abc.abstractmethod
        def scale(self):
            """Return a number."""

    class Two(Scale):
        def scale(self):
            return 2.0

    two = Two()
    return lambda b, v: squares(two.scale(), b, v)


def _user_mapping():
    class Settings(UserDict):
        pass

    settings = Settings(scale=2.0)
    return lambda b, v: squares(settings.data["scale"], b, v)


ORDINARY = [
    _enumeration, _named_tuple, _containers, _c_functions, _cached_function, _ufuncs, _user_mapping,
    _imported_functions, _implementation_of_an_abstract_class,
]  # fmt: skip


@pytest.mark.parametrize("make", ORDINARY, ids=lambda change: change.__name__.strip("_"))
def test_what_can_be_looked_into_is_traced_once(make):
    """Enumerations, named tuples, cached functions and the like are looked into: their guard still holds."""
    assert Guard(make()).holds()


def test_a_module_that_the_first_call_imports_may_change(monkeypatch):
    """A module that is imported only while the cost is traced is watched as well."""

    def cost(b, v):
        import colorsys

        return squares(colorsys.ONE_THIRD, b, v)

    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    test_what_a_cost_sees_may_change_between_calls(
        lambda: (cost, lambda: setattr(sys.modules["colorsys"], "ONE_THIRD", 2.0))
    )


def test_what_is_computed_once_and_kept_is_no_dependence():
    """A cached property that the first call fills may be filled with something else for the second."""

    class Lazy:
        @cached_property
        def scale(self):
            return 2.0

        def cost(self, b, v):
            return squares(self.scale, b, v)

    lazy = Lazy()
    test_what_a_cost_sees_may_change_between_calls(lambda: (lazy.cost, lambda: vars(lazy).update(scale=3.0)))


def test_an_ordinary_cost_is_traced_once(caplog, monkeypatch):
    """A closure, a dataclass, imports inside: of no module, of another framework, and one that the first call runs."""
    framework = ModuleType("jax.special_functions")
    exec("def logsumexp(x): return eval('x')", vars(framework))
    monkeypatch.setitem(sys.modules, "jax.special_functions", framework)

    @dataclass(frozen=True)
    class Settings:
        scale: float

    settings = Settings(2.0)

    def cost(b, v):
        if settings.scale > 3.0:
            import no_such_module

            return no_such_module.answer
        if settings.scale > 2.5:
            from jax.special_functions import logsumexp

            return logsumexp(v["w"])
        from autograd.scipy.special import logsumexp

        return squares(settings.scale, b, v) + logsumexp(v["w"])

    with caplog.at_level("INFO", "refmaml.compiled"):
        for _ in range(3):
            engine.fomaml_step(DATA, cost, None, THETA, 2, 0.1, batched=False)
    assert sum("tracing" in record.message for record in caplog.records) == 2  # the second proves the first


def _drawing_globally():
    return lambda b, v: squares(np.random.normal(), b, v)


def _drawing_from_python():
    return lambda b, v: squares(random.random(), b, v)


def _drawing_from_a_generator():
    rng = np.random.default_rng(0)
    return lambda b, v: squares(rng.normal(), b, v)


def _drawing_from_a_new_generator():
    return lambda b, v: squares(np.random.default_rng().normal(), b, v)


def _counting():
    calls = [0]

    def cost(b, v):
        calls[0] += 1
        return squares(1.0 + calls[0] % 2, b, v)

    return cost


def _writing_into_the_batch():
    def cost(b, v):
        value = squares(1.0, b, v)
        b["x"] = b["x"] * 2.0
        return value

    return cost


def _adding_in_place():
    def cost(b, v):
        x = b["x"]
        x += 1.0
        return squares(1.0, {"x": x}, v)

    return cost


def _keeping_what_it_is_given():
    kept = []

    def cost(b, v):
        if not kept:
            kept.append(b["x"][0, 0])
        return squares(kept[0], b, v)

    return cost


def _keeping_a_variable():
    kept = {}

    def cost(b, v):
        return squares(kept.setdefault("w", v["w"])[0], b, v)

    return cost


DRAWING = [
    _drawing_globally, _drawing_from_python, _drawing_from_a_generator, _drawing_from_a_new_generator, _counting,
]  # fmt: skip
IMPURE = [_keeping_what_it_is_given, _keeping_a_variable, _writing_into_the_batch, _adding_in_place]


@pytest.mark.parametrize("make", DRAWING, ids=lambda change: change.__name__.strip("_"))
def test_a_cost_that_differs_from_evaluation_to_evaluation_is_told_so(make):
    """A cost that draws or counts is refused: two evaluations of it differ."""
    with pytest.raises(ValueDependence, match=r"different after an evaluation|two evaluations .* differ"):
        engine.fomaml_step(DATA, make(), None, THETA, 2, 0.1, batched=False)


@pytest.mark.parametrize("make", IMPURE, ids=lambda change: change.__name__.strip("_"))
def test_a_cost_that_is_no_function_of_its_arguments_is_refused(make):
    """A cost that keeps what it is given, or writes into it, is refused."""
    with pytest.raises(ValueDependence):
        engine.fomaml_step(DATA, make(), None, THETA, 2, 0.1, batched=False)


def test_an_unknown_primitive_is_named_with_its_line():
    """A primitive of autograd without a rule is refused by its name, with the line that calls it."""
    with pytest.raises(UnsupportedPrimitive, match=r"^fft.*test_hidden_values\.py:\d+"):
        engine.fomaml_step(
            DATA, lambda b, v: anp.sum(anp.real(anp.fft.fft(v["w"]))), None, THETA, 1, 0.1, batched=False
        )


ORDERED = {
    "partition": lambda b, v: anp.sum(anp.partition(v["w"], 2)),
    "x.flags": lambda b, v: squares(2.0 if b["x"].flags.writeable else 1.0, b, v),
    "x.base": lambda b, v: squares(2.0 if b["x"].base is None else 1.0, b, v),
    "x.sort": lambda b, v: (b["x"].sort(), squares(1.0, b, v))[1],
}


@pytest.mark.parametrize("name", ORDERED)
def test_what_has_no_rule_is_named_with_its_line(name):
    """What NumPy leaves open, and attributes of an array that have no rule, are refused by name, with the line."""
    with pytest.raises(UnsupportedPrimitive, match=rf"^{name}: expected.*test_hidden_values\.py:\d+"):
        engine.fomaml_step(DATA, ORDERED[name], None, THETA, 1, 0.1, batched=False)


def test_writing_into_an_element_is_refused_with_its_line():
    """Writing into the batch is refused with its line, and into a variable with autograd's own error."""

    def cost(b, v):
        b["x"][0, 1] = 1.0
        return squares(1.0, b, v)

    with pytest.raises(ValueDependence, match=r"in place \(at .*test_hidden_values\.py:\d+"):
        engine.fomaml_step(DATA, cost, None, THETA, 1, 0.1, batched=False)

    def into_a_variable(b, v):
        v["w"][0] = 1.0
        return squares(1.0, b, v)

    with pytest.raises(TypeError, match="'ArrayBox' object does not support item assignment"):
        engine.fomaml_step(DATA, into_a_variable, None, THETA, 1, 0.1, batched=False)


@pytest.mark.parametrize("several", [lambda cost: (cost, 1), lambda cost: [cost]], ids=["tuple", "list"])
def test_a_cost_that_returns_several_is_an_error_as_in_the_reference(several):
    """A cost that returns a tuple or a list is an error with the reference's own text."""
    messages = []
    for step in (engine.fomaml_step, refmaml.fomaml_step):
        with pytest.raises(ValueError, match="expected a real scalar") as caught:
            step(DATA, lambda b, v: several(squares(1.0, b, v)), None, THETA, 1, 0.1, batched=False)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_function_of_cython_can_stand_beside_what_a_cost_reads():
    """The types of Cython's functions have no name of a module, and what holds such a function is read all the same."""
    table = {"scale": 2.0, "draw": np.random.default_rng(0).normal}

    def cost(b, v):
        return squares(table["scale"], b, v)

    assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, DATA, cost, None, THETA, 1, 0.1, batched=False)


def test_other_shapes_are_a_new_trace():
    """A cost that uses a shape as a number is traced again for data of another shape."""

    def cost(b, v):
        return squares(float(b["x"].shape[1]), b, v)

    for width in (4, 3):
        args = ({"x": DATA["x"][:, :width]}, cost, None, {"w": THETA["w"][:width]}, 2, 0.1)
        assert_same_answer(engine.fomaml_step, refmaml.fomaml_step, *args, batched=False)


def test_an_exception_of_the_cost_comes_out_as_the_reference_raises_it():
    """The cost's own exception is raised as it is, with a note on the task."""

    def cost(b, v):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        engine.fomaml_step(DATA, cost, None, THETA, 1, 0.1, batched=False)
    assert "task 0" in caught.value.__notes__[-1]
