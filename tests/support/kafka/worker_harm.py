"""What a worker under test may be made to leave out: each defence, so that a test shows what it is there for.

The rule: a function per defence that patches one place of the worker; nothing else here is ever used.
"""

from collections.abc import Callable, Mapping

__all__ = ["HARM"]

Mark = Callable[[dict[str, object]], None]

HARM: Mapping[str, Callable[[Mark], None]] = {}
