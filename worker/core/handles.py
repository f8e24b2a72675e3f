"""Handles: how a bundle of arrays is passed around inside the pass.

Compiled functions take a bundle (a named tuple of arrays) as one pointer to a block of array descriptors, and borrow
the arrays that they use. Handing some fifty arrays over by value, function by function, would take minutes to compile;
numba's own structs count references, atomically, at every call, which took more than half of the time of the pass. The
rule is C's: a handle is valid while its arrays are, which `Handle` sees to by holding them. Without the compiler it is
the named tuple itself.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, lower_getattr_generic, typeof_impl, unbox

__all__ = ["handle"]

Table = np.ndarray[Any, Any]


class BorrowedArray(types.Array):
    """The type of an array that someone else owns: numba's array, without reference counting."""

    def __init__(self, array: Any) -> None:
        super().__init__(
            array.dtype, array.ndim, array.layout, readonly=not array.mutable, name=f"borrowed({array})",
            aligned=array.aligned,
        )  # fmt: skip


@register_default(BorrowedArray)
class BorrowedArrayModel(models.ArrayModel):  # type: ignore[misc]
    """An array's memory layout, of which nothing is counted."""

    def traverse(self, builder: Any) -> list[Any]:
        """Show no parts, so that none is counted."""
        del builder
        return []


class BundleType(types.Type):
    """The type of a pointer to array descriptors; `fields` are (name, type of the array, bytes from the start)."""

    def __init__(self, bundle: str, fields: tuple[tuple[str, BorrowedArray, int], ...]) -> None:
        self.fields = {name: (array, offset) for name, array, offset in fields}
        super().__init__(name=f"{bundle}({', '.join(f'{name}: {array}' for name, array, _ in fields)})")


register_default(BundleType)(models.OpaqueModel)


@infer_getattr
class _BundleAttributes(AttributeTemplate):  # type: ignore[misc]  # numba has no type for it
    key = BundleType

    def generic_resolve(self, bundle: BundleType, name: str) -> BorrowedArray | None:
        return bundle.fields[name][0] if name in bundle.fields else None


@lower_getattr_generic(BundleType)  # type: ignore[untyped-decorator]  # numba's
def _load_array(context: Any, builder: Any, bundle: BundleType, pointer: Any, name: str) -> Any:
    """Read an array's descriptor from the block."""
    array, offset = bundle.fields[name]
    place = cgutils.pointer_add(builder, pointer, ir.Constant(ir.IntType(64), offset))
    return builder.load(builder.bitcast(place, context.get_value_type(array).as_pointer()))


class Handle:
    """A bundle's descriptors in memory: per array what numba's own array struct holds, owner fields null."""

    def __init__(self, bundle: NamedTuple) -> None:
        words: list[int] = []
        fields = []
        for name, array in zip(bundle._fields, bundle, strict=True):
            fields.append((name, BorrowedArray(numba.typeof(array)), 8 * len(words)))
            words += [0, 0, array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides]
        self._bundle = bundle
        self._block = np.array(words, np.int64)
        self.address = self._block.ctypes.data
        self.type = BundleType(type(bundle).__name__, tuple(fields))


@typeof_impl.register(Handle)  # type: ignore[untyped-decorator]
def _type_of_handle(value: Handle, context: object) -> BundleType:
    del context
    return value.type


@unbox(BundleType)  # type: ignore[untyped-decorator]
def _unbox_handle(bundle: BundleType, value: Any, context: Any) -> Any:
    del bundle
    address = context.pyapi.object_getattr_string(value, "address")
    pointer = context.pyapi.long_as_voidptr(address)
    context.pyapi.decref(address)
    return NativeValue(pointer, is_error=cgutils.is_not_null(context.builder, context.pyapi.err_occurred()))


def handle(bundle: NamedTuple) -> Any:
    """Return what compiled functions take for a bundle; the arrays stay where they are."""
    return bundle if config.DISABLE_JIT else Handle(bundle)
