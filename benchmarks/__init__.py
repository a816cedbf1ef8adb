"""`python -m benchmarks`: the compiled steps beside JAX's `jit` and `torch.compile`, in one run."""
