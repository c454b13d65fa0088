"""LLVM's IR as text: an instruction is written when it is asked for. Imports nothing of the project.

The names are those of llvmlite.ir, as far as they are needed here. llvmlite keeps an object for each instruction, and
writes text from them at the end: a training step of 64-64-10 took it 90 ms instead of 45.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# ---- types and values -----------------------------------------------------------------------------------------------


class Type:
    """A type, by its text; ``I64(3)`` is a constant of it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __call__(self, constant: Any) -> Constant:
        return Constant(self, constant)

    def literal(self, number: Any) -> str:
        """A number of this type, as text; of floats the bits of the float64 that is equal to it."""
        if self.text in ("float", "double"):
            return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016x}"
        return str(int(number))


class IntType(Type):
    def __init__(self, bits: int) -> None:
        super().__init__(f"i{bits}")


class VectorType(Type):
    def __init__(self, element: Type, count: int) -> None:
        super().__init__(f"<{count} x {element.text}>")
        self.element, self.count = element, count


class ArrayType(Type):
    def __init__(self, element: Type, count: int) -> None:
        super().__init__(f"[{count} x {element.text}]")


class FunctionType(Type):
    def __init__(self, result: Type, arguments: Sequence[Type]) -> None:
        super().__init__(f"{result.text} ({', '.join(a.text for a in arguments)})")
        self.return_type, self.args = result, list(arguments)


def FloatType() -> Type:
    return Type("float")


def DoubleType() -> Type:
    return Type("double")


def PointerType() -> Type:
    return Type("ptr")


def VoidType() -> Type:
    return Type("void")


class Value:
    """What an instruction gives, an argument or a block: a type, and the text that refers to it."""

    __slots__ = ("ref", "type")

    def __init__(self, type: Type, ref: str) -> None:
        self.type, self.ref = type, ref

    def __str__(self) -> str:
        return f"{self.type.text} {self.ref}"


Undefined = object()  # for a constant that may be anything


class Constant(Value):
    """A number, or a vector of numbers; one for all its uses costs its text once.

    >>> print(Constant(VectorType(IntType(32), 2), [1, 2]), Constant(VectorType(FloatType(), 4), [0.5] * 4))
    <2 x i32> <i32 1, i32 2> <4 x float> splat (float 0x3fe0000000000000)
    """

    __slots__ = ("constant",)

    def __init__(self, type: Type, constant: Any) -> None:
        self.constant = constant
        if constant is Undefined:
            text = "undef"
        elif isinstance(type, VectorType):
            parts = [f"{type.element.text} {type.element.literal(one)}" for one in constant]
            text = f"splat ({parts[0]})" if len(set(parts)) == 1 else f"<{', '.join(parts)}>"
        else:
            text = type.literal(constant)
        super().__init__(type, text)


# ---- modules, functions, blocks -------------------------------------------------------------------------------------


class Module:
    """Functions by name."""

    def __init__(self) -> None:
        self.globals: dict[str, Function] = {}

    def __str__(self) -> str:
        return "\n".join(map(str, self.globals.values()))


class Argument(Value):
    __slots__ = ("attributes",)

    def __init__(self, type: Type, ref: str) -> None:
        super().__init__(type, ref)
        self.attributes = ""

    def add_attribute(self, name: str) -> None:
        self.attributes += f" {name}"


class Function(Value):
    """A function of a module; declared, if it has no blocks."""

    __slots__ = ("args", "blocks", "ftype", "linkage", "module", "name", "numbers")

    def __init__(self, module: Module, kind: FunctionType, name: str) -> None:
        super().__init__(PointerType(), f'@"{name}"')
        self.module, self.ftype, self.name, self.linkage = module, kind, name, ""
        self.args = [Argument(a, f"%a{n}") for n, a in enumerate(kind.args)]
        self.blocks: list[Block] = []
        self.numbers = itertools.count()
        module.globals[name] = self

    def append_basic_block(self, name: str = "block") -> Block:
        block = Block(self, f"{name}.{len(self.blocks)}")
        self.blocks.append(block)
        return block

    def __str__(self) -> str:
        if not self.blocks:
            arguments = ", ".join(a.type.text for a in self.args)
            return f"declare {self.linkage} {self.ftype.return_type.text} {self.ref}({arguments})"
        arguments = ", ".join(f"{a.type.text}{a.attributes} {a.ref}" for a in self.args)
        lines = [f"define {self.linkage} {self.ftype.return_type.text} {self.ref}({arguments}) {{"]
        for block in self.blocks:
            lines.append(f"{block.name}:")
            lines += (line if isinstance(line, str) else line.text() for line in block.lines)
        return "\n".join([*lines, "}\n"])


class Block(Value):
    """Instructions that are run one after the other. Those that may change later are written at the end."""

    __slots__ = ("function", "lines", "name", "terminated")

    def __init__(self, function: Function, name: str) -> None:
        super().__init__(Type("label"), f"%{name}")
        self.function, self.name, self.terminated = function, name, False
        self.lines: list[str | Phi | Alloca] = []


class Phi(Value):
    """A value that depends on the block that control comes from."""

    __slots__ = ("incoming",)

    def __init__(self, type: Type, ref: str) -> None:
        super().__init__(type, ref)
        self.incoming: list[str] = []

    def add_incoming(self, value: Value, block: Block) -> None:
        self.incoming.append(f"[{value.ref}, {block.ref}]")

    def text(self) -> str:
        return f"{self.ref} = phi {self.type.text} {', '.join(self.incoming)}"


class Alloca(Value):
    """Memory on the stack, until the function returns."""

    __slots__ = ("align", "kind")

    def __init__(self, ref: str, kind: str) -> None:
        super().__init__(PointerType(), ref)
        self.kind, self.align = kind, 0

    def text(self) -> str:
        return f"{self.ref} = alloca {self.kind}" + (f", align {self.align}" if self.align else "")


# ---- the builder ----------------------------------------------------------------------------------------------------


def _binary(name: str) -> Callable[[IRBuilder, Value, Value], Value]:
    def write(self: IRBuilder, x: Value, y: Value) -> Value:
        return self.result(x.type, f"{name} {x.type.text} {x.ref}, {y.ref}")

    return write


def _cast(name: str) -> Callable[[IRBuilder, Value, Type], Value]:
    def write(self: IRBuilder, x: Value, kind: Type) -> Value:
        return x if x.type == kind else self.result(kind, f"{name} {x.type.text} {x.ref} to {kind.text}")

    return write


def _comparison(name: str, prefix: str, equal: str) -> Callable[[IRBuilder, str, Value, Value], Value]:
    words = {"<": f"{prefix}lt", "<=": f"{prefix}le", ">": f"{prefix}gt", ">=": f"{prefix}ge"}
    words |= {"==": f"{equal}eq", "!=": f"{equal}ne"}

    def write(self: IRBuilder, how: str, x: Value, y: Value) -> Value:
        kind = VectorType(IntType(1), x.type.count) if isinstance(x.type, VectorType) else IntType(1)
        return self.result(kind, f"{name} {words.get(how, how)} {x.type.text} {x.ref}, {y.ref}")

    return write


class IRBuilder:
    """Writes instructions at the end of a block."""

    def __init__(self, block: Block) -> None:
        self.block = block

    @property
    def function(self) -> Function:
        return self.block.function

    @property
    def module(self) -> Module:
        return self.block.function.module

    def line(self, text: str | Phi | Alloca) -> None:
        """In a block that ends already, before its end."""
        if self.block.terminated:
            self.block.lines.insert(-1, text)
        else:
            self.block.lines.append(text)

    def name(self) -> str:
        return f"%v{next(self.block.function.numbers)}"

    def result(self, kind: Type, text: str) -> Value:
        block = self.block
        ref = f"%v{next(block.function.numbers)}"
        if block.terminated:
            self.line(f"{ref} = {text}")
        else:
            block.lines.append(f"{ref} = {text}")
        return Value(kind, ref)

    add, sub, mul, udiv, urem = map(_binary, ("add", "sub", "mul", "udiv", "urem"))
    and_, or_, xor, shl, lshr, ashr = map(_binary, ("and", "or", "xor", "shl", "lshr", "ashr"))
    fadd, fsub, fmul, fdiv = map(_binary, ("fadd", "fsub", "fmul", "fdiv"))
    trunc, zext, sext, fptrunc, fpext = map(_cast, ("trunc", "zext", "sext", "fptrunc", "fpext"))
    fptosi, uitofp, sitofp, bitcast = map(_cast, ("fptosi", "uitofp", "sitofp", "bitcast"))
    icmp_signed, icmp_unsigned = _comparison("icmp", "s", ""), _comparison("icmp", "u", "")
    fcmp_ordered, fcmp_unordered = _comparison("fcmp", "o", "o"), _comparison("fcmp", "u", "u")

    def not_(self, x: Value) -> Value:
        ones = [-1] * x.type.count if isinstance(x.type, VectorType) else -1
        return self.xor(x, Constant(x.type, ones))

    def fneg(self, x: Value) -> Value:
        return self.result(x.type, f"fneg {x}")

    def freeze(self, x: Value) -> Value:
        return self.result(x.type, f"freeze {x}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        return self.result(x.type, f"select {condition}, {x}, {y}")

    def insert_element(self, vector: Value, x: Value, lane: Value) -> Value:
        return self.result(vector.type, f"insertelement {vector}, {x}, {lane}")

    def extract_element(self, vector: Value, lane: Value) -> Value:
        assert isinstance(vector.type, VectorType)
        return self.result(vector.type.element, f"extractelement {vector}, {lane}")

    def shuffle_vector(self, x: Value, y: Value, mask: Value) -> Value:
        assert isinstance(x.type, VectorType) and isinstance(mask.type, VectorType)
        kind = VectorType(x.type.element, mask.type.count)
        return self.result(kind, f"shufflevector {x}, {y}, {mask}")

    # ---- memory

    def load(self, pointer: Value, typ: Type, align: int = 0) -> Value:
        return self.result(typ, f"load {typ.text}, ptr {pointer.ref}" + (f", align {align}" if align else ""))

    def store(self, x: Value, pointer: Value, align: int = 0) -> None:
        self.line(f"store {x}, ptr {pointer.ref}" + (f", align {align}" if align else ""))

    def load_atomic(self, pointer: Value, ordering: str, align: int, typ: Type) -> Value:
        return self.result(typ, f"load atomic {typ.text}, ptr {pointer.ref} {ordering}, align {align}")

    def store_atomic(self, x: Value, pointer: Value, ordering: str, align: int) -> None:
        self.line(f"store atomic {x}, ptr {pointer.ref} {ordering}, align {align}")

    def atomic_rmw(self, what: str, pointer: Value, x: Value, ordering: str) -> Value:
        return self.result(x.type, f"atomicrmw {what} ptr {pointer.ref}, {x} {ordering}")

    def gep(self, pointer: Value, indices: Sequence[Value], source_etype: Type) -> Value:
        text = f"getelementptr {source_etype.text}, ptr {pointer.ref}, {', '.join(map(str, indices))}"
        return self.result(pointer.type, text)

    def alloca(self, kind: Type, size: Value | None = None) -> Alloca:
        made = Alloca(self.name(), kind.text if size is None else f"{kind.text}, {size}")
        self.line(made)
        return made

    # ---- control

    def call(self, function: Function, arguments: Sequence[Value], fastmath: Sequence[str] = ()) -> Value:
        kind, flags = function.ftype.return_type, "".join(f"{f} " for f in fastmath)
        text = f"call {flags}{kind.text} {function.ref}({', '.join(map(str, arguments))})"
        if kind.text != "void":
            return self.result(kind, text)
        self.line(text)
        return Value(kind, "")

    def phi(self, kind: Type) -> Phi:
        made = Phi(kind, self.name())
        self.line(made)
        return made

    def branch(self, block: Block) -> None:
        self._end(f"br {block}")

    def cbranch(self, condition: Value, then: Block, otherwise: Block, weights: str = "") -> None:
        self._end(f"br {condition}, {then}, {otherwise}{weights}")

    def ret_void(self) -> None:
        self._end("ret void")

    def _end(self, text: str) -> None:
        self.line(text)
        self.block.terminated = True

    def append_basic_block(self, name: str = "block") -> Block:
        return self.function.append_basic_block(name)

    def position_at_end(self, block: Block) -> None:
        self.block = block

    @contextlib.contextmanager
    def goto_entry_block(self) -> Iterator[None]:
        here, self.block = self.block, self.function.blocks[0]
        yield
        self.block = here

    @contextlib.contextmanager
    def if_then(self, condition: Value, likely: bool | None = None) -> Iterator[Block]:
        """What is written within runs where the condition holds."""
        then, after = self.append_basic_block("then"), self.append_basic_block("after")
        odds = {None: "", True: "99, i32 1", False: "1, i32 99"}[likely]
        self.cbranch(condition, then, after, odds and f', !prof !{{!"branch_weights", i32 {odds}}}')
        self.position_at_end(then)
        yield after
        if not self.block.terminated:
            self.branch(after)
        self.position_at_end(after)

    @contextlib.contextmanager
    def if_else(self, condition: Value) -> Iterator[tuple]:
        """Two contexts: for what runs where the condition holds, and where it does not."""
        then, otherwise, after = (self.append_basic_block(n) for n in ("then", "else", "after"))
        self.cbranch(condition, then, otherwise)

        @contextlib.contextmanager
        def branch(block: Block) -> Iterator[None]:
            self.position_at_end(block)
            yield
            if not self.block.terminated:
                self.branch(after)

        yield branch(then), branch(otherwise)
        self.position_at_end(after)
