"""LLVM's IR as text: instructions, lanes, vector math, affine indices. Imports nothing else of the engine."""

from . import vector_math  # registers exp, log, tanh ... among the functions of lanes.xp
