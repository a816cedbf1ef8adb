"""Gradients that are sums of matrix products, taken apart so that each product is accumulated where the sum goes."""

from __future__ import annotations

from collections import Counter

from refmaml.compiled.program.program import Builder, Value, in_c_order, in_order, where_read


def parts_of(builder: Builder, outputs: dict[str, Value]) -> dict[str, list[Value]]:
    """Return the addends of each output: itself, or the products and the rest whose sum it is."""
    values = [value for value in in_order(list(outputs.values())) if value.op != "view"]
    readers = Counter(id(where_read(arg)[0]) for value in values for arg in value.args)
    readers.update(id(where_read(value)[0]) for value in outputs.values())

    def alone(value: Value, op: str) -> bool:
        root, _, _ = where_read(value)
        return root.op == op and readers[id(root)] == 1 and root.size == value.size

    def taken_apart(value: Value) -> list[Value]:
        root, _, _ = where_read(value)
        sum_of_two = alone(value, "map") and root.params[0] == "add" and in_c_order(value)
        if sum_of_two and all(arg.shape == root.shape for arg in root.args) and root.args[0] is not root.args[1]:
            parts = [part for arg in root.args for part in taken_apart(arg)]
            if any(alone(part, "matmul") for part in parts):
                return [builder.reshape(part, value.shape) for part in parts]
        return [_straight(builder, value)] if alone(value, "matmul") else [value]

    return {name: taken_apart(value) if name.startswith("g/") else [value] for name, value in outputs.items()}


def _straight(builder: Builder, value: Value) -> Value:
    """Return a product that is read transposed as the product of its transposed arguments: (AB)ᵀ = BᵀAᵀ."""
    root, offset, strides = where_read(value)
    axes = [(size, stride) for size, stride in zip(value.shape, strides, strict=True) if size != 1]
    batch, rows, columns = root.shape
    if batch != 1 or offset or axes != [(columns, 1), (rows, columns)] or min(rows, columns) < 2:
        return value
    a, b = (builder.view(arg, lambda v: v.transpose(0, 2, 1)) for arg in root.args)
    return builder.reshape(builder.make("matmul", (b, a), (), (1, columns, rows), root.dtype), value.shape)
