"""Handles: how a bundle of arrays is passed around inside the pass.

Compiled functions take a bundle as one pointer (numba's structref): handing some fifty arrays over by value, function
by function, takes minutes to compile. Without the compiler a handle is the named tuple itself.
"""

from typing import Any, NamedTuple

from numba.core import config, types
from numba.experimental import structref

from worker.core.compiled import entry
from worker.core.tables import Outputs, Program, StateArrays, Surroundings

__all__ = ["handle"]


@structref.register
class ProgramType(types.StructRef):  # type: ignore[misc, name-defined]  # numba has no types for it
    """The type of a `Program` behind a pointer."""


@structref.register
class StateType(types.StructRef):  # type: ignore[misc, name-defined]  # numba has no types for it
    """The type of `StateArrays` behind a pointer."""


@structref.register
class SurroundingsType(types.StructRef):  # type: ignore[misc, name-defined]  # numba has no types for it
    """The type of `Surroundings` behind a pointer."""


@structref.register
class OutputsType(types.StructRef):  # type: ignore[misc, name-defined]  # numba has no types for it
    """The type of `Outputs` behind a pointer."""


class ProgramHandle(structref.StructRefProxy):  # type: ignore[misc]  # nor for this
    """A `Program`, to be passed to compiled functions."""


class StateHandle(structref.StructRefProxy):  # type: ignore[misc]  # nor for this
    """`StateArrays`, to be passed to compiled functions."""


class SurroundingsHandle(structref.StructRefProxy):  # type: ignore[misc]  # nor for this
    """`Surroundings`, to be passed to compiled functions."""


class OutputsHandle(structref.StructRefProxy):  # type: ignore[misc]  # nor for this
    """`Outputs`, to be passed to compiled functions."""


structref.define_proxy(ProgramHandle, ProgramType, list(Program._fields))
structref.define_proxy(StateHandle, StateType, list(StateArrays._fields))
structref.define_proxy(SurroundingsHandle, SurroundingsType, list(Surroundings._fields))
structref.define_proxy(OutputsHandle, OutputsType, list(Outputs._fields))


@entry
def _program(bundle: Any) -> Any:
    return ProgramHandle(*bundle)


@entry
def _state(bundle: Any) -> Any:
    return StateHandle(*bundle)


@entry
def _surroundings(bundle: Any) -> Any:
    return SurroundingsHandle(*bundle)


@entry
def _outputs(bundle: Any) -> Any:
    return OutputsHandle(*bundle)


_MAKERS: dict[type, Any] = {
    Program: _program, StateArrays: _state, Surroundings: _surroundings, Outputs: _outputs,
}  # fmt: skip


def handle(bundle: NamedTuple) -> Any:
    """Return what compiled functions take for a bundle; valid while the bundle's arrays are."""
    return bundle if config.DISABLE_JIT else _MAKERS[type(bundle)](bundle)
