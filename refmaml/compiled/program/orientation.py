"""Values that are only read transposed are computed the other way round: (AB)ᵀ = BᵀAᵀ, f(x, y)ᵀ = f(xᵀ, yᵀ)."""

from __future__ import annotations

from collections import defaultdict

from refmaml.compiled.program.program import Builder, Value, in_order, where_read
from refmaml.compiled.program.simplify import rebuilt, remade


def oriented(builder: Builder, outputs: dict[str, Value]) -> dict[str, Value]:
    """Return outputs that read their values in the order in which they lie in memory, as far as possible.

    Products that sum over one index become maps first, which are fused with what reads them.
    """
    wanted = {id(where_read(value)[0]) for value in outputs.values()}

    def outer_product(builder: Builder, value: Value, args: tuple[Value, ...]) -> Value:
        if value.op == "matmul" and value.args[0].shape[2] == 1 and id(value) not in wanted:
            return builder.map("multiply", *args, dtype=value.dtype)
        return remade(builder, value, args)

    outputs = rebuilt(builder, outputs, outer_product)
    turned = _only_read_transposed(outputs)

    def turn(builder: Builder, value: Value, args: tuple[Value, ...]) -> Value:
        if value.op == "view" and id(value.args[0]) in turned and args[0].op == value.args[0].op:
            return builder.reshape(_transposed(builder, args[0]), value.shape)
        return remade(builder, value, args)

    return rebuilt(builder, outputs, turn)


def _only_read_transposed(outputs: dict[str, Value]) -> set[int]:
    """Return the ids of the products and maps whose every reader is a transposing view."""
    readers: defaultdict[int, list[Value]] = defaultdict(list)
    for value in in_order(list(outputs.values())):
        for arg in value.args:
            readers[id(arg)].append(value)
    for value in outputs.values():
        readers[id(value)].append(value)
    return {
        id(arg)
        for group in readers.values()
        for value in group
        if value.op == "view"
        for arg in value.args
        if arg.op in ("matmul", "map") and all(_transposes(reader, arg) for reader in readers[id(arg)])
    }


def _transposes(view: Value, source: Value) -> bool:
    if view.op != "view" or view.params[0] != 0:
        return False
    sizes = [size for size in source.shape if size != 1]
    axes = [(size, stride) for size, stride in zip(view.shape, view.params[1], strict=True) if size != 1]
    return len(sizes) == 2 and axes == [(sizes[1], 1), (sizes[0], sizes[1])]


def _transposed(builder: Builder, value: Value) -> Value:
    """Return the transpose of a matrix, which may have axes of length 1 besides."""
    if value.op == "matmul":
        a, b = (builder.view(operand, lambda v: v.transpose(0, 2, 1)) for operand in value.args)
        return builder.make("matmul", (b, a), (), (1, value.shape[2], value.shape[1]), value.dtype)
    rows, columns = (size for size in value.shape if size != 1)
    args = [
        builder.view(builder.broadcast(arg, value.shape), lambda v: v.reshape(rows, columns).T) for arg in value.args
    ]
    return builder.map(value.params[0], *args, dtype=value.dtype)
