"""The lane builder: every elementwise formula on lanes gives numpy's numbers, and the functions keep their precision."""

import ctypes
import re
import warnings

import numpy as np
import pytest

from pellucid.executors.reference import xp as reference
from pellucid.graph import DTYPES, PRIMITIVES

ir = pytest.importorskip("llvmlite.ir")
llvm = pytest.importorskip("llvmlite.binding")

from pellucid.executors.native import lanes  # noqa: E402
from pellucid.executors.native.lanes import Lanes, constant, fma, horizontal_sum, splat, transpose, xp  # noqa: E402

FLOATS = ("float32", "float64")
WIDTHS = (1, 4, 8, 16)
I64 = ir.IntType(64)
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


# ---- a small just-in-time compiler ------------------------------------------------------------------------------


def module_text(formula, dtypes, width) -> tuple[str, str]:
    """IR of ``f(inputs..., output, n)``: the formula on n vectors, one after the other; and the output's dtype."""

    def memory(dtype):
        return lanes.llvm_type("uint8" if dtype == "bool" else dtype, width)

    module = ir.Module()
    pointer = ir.PointerType()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * (len(dtypes) + 1) + [I64]), "f")
    for a in function.args[:-1]:
        a.add_attribute("noalias")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    *pointers, out, n = function.args
    body, end = function.append_basic_block("body"), function.append_basic_block("end")
    start = b.block
    b.cbranch(b.icmp_signed(">", n, I64(0)), body, end)
    b.position_at_end(body)
    i = b.phi(I64)
    i.add_incoming(I64(0), start)
    inputs = []
    for p, dtype in zip(pointers, dtypes, strict=True):
        x = b.load(b.gep(p, [i], source_etype=memory(dtype)), typ=memory(dtype), align=1)
        inputs.append(Lanes(b, b.trunc(x, lanes.llvm_type("bool", width)) if dtype == "bool" else x, dtype, width))
    y = splat(formula(xp, *inputs), width)
    value = b.zext(y.value, memory("bool")) if y.dtype == "bool" else y.value
    b.store(value, b.gep(out, [i], source_etype=memory(y.dtype)), align=1)
    following = b.add(i, I64(1))
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, n), body, end)
    b.position_at_end(end)
    b.ret_void()
    return str(module), y.dtype


def optimised(text, triple=None, cpu=None, features=None):
    triple = triple or llvm.get_process_triple()
    features = llvm.get_host_cpu_features().flatten() + ",-prefer-256-bit" if features is None else features
    if not triple.startswith("x86_64"):
        features = features.replace(",-prefer-256-bit", "")
    cpu = llvm.get_host_cpu_name() if cpu is None else cpu
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=2, jit=cpu == llvm.get_host_cpu_name()
    )
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module, machine


def run(formula, *arrays, width=16):
    """The formula on arrays, as machine code."""
    arrays = [np.asarray(a) for a in arrays]
    size = arrays[0].size
    n = -(-size // width)
    padded = [np.resize(a.ravel(), n * width) for a in arrays]
    text, dtype = module_text(formula, [str(a.dtype) for a in arrays], width)
    module, machine = optimised(text)
    out = np.empty(n * width, dtype)
    with llvm.create_mcjit_compiler(module, machine) as engine:
        engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 1), ctypes.c_int64)
        kind(engine.get_function_address("f"))(*(a.ctypes.data for a in [*padded, out]), n)
    return out[:size].reshape(arrays[0].shape)
