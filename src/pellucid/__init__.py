"""Neural networks you can see through."""
from .autodiff import grad
from .graph import GraphError, Program, Value, input, state
from .ops import *  # noqa
