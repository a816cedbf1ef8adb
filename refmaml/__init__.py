"""A readable reference of first-order MAML, second-order MAML and Reptile on HIPS autograd.

`fomaml_step`, `maml_step` and `reptile_step` compute one meta-learning step for any cost function written in
`autograd.numpy`; `gradient_descent_update` is their inner update. The code to read is `refmaml.reference`.
"""

from refmaml.reference import fomaml_step, maml_step, reptile_step
from refmaml.updates import gradient_descent_update

__all__ = ["fomaml_step", "gradient_descent_update", "maml_step", "reptile_step"]
