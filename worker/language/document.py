"""YAML text -> plain data, and where in the text each piece of it stands.

ruamel.yaml composes the nodes, YAML 1.2; this module turns them into dicts, lists and scalars by the core schema (`yes`
and `12:30` are texts, so is a time). The rule: a path into the data always finds its spot in the text, down to a single
character of a scalar, however the scalar is written; and no input, aliases included, grows past stated bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from worker.language.mistakes import DefinitionsError, Mistake

__all__ = ["Document", "Path", "Spot"]

BYTES_MAX: Final = 1 << 20
NODES_MAX: Final = 100_000  # aliases counted as often as they are used
DEPTH_MAX: Final = 50

Path = tuple[str | int, ...]
Spot = tuple[int, int]
"""Line and column, from 1."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
                 "": None, "~": None, "null": None, "Null": None, "NULL": None}  # fmt: skip
_STANDARD: Final = "tag:yaml.org,2002:"
_TAGS: Final = {_STANDARD + name for name in
                ("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge", "value")}  # fmt: skip
_LABELS: Final = re.compile(r"([&!]\S*\s+)*")  # anchor and tag count as part of a node
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.)|(.)", re.DOTALL)


class Document:
    """A YAML text as plain `data`; `mistakes` are what is wrong with the YAML itself, short of not being any.

    Raises DefinitionsError where the text can't be read as YAML, or is beyond the bounds.
    """

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix("\ufeff")
        self.mistakes: list[tuple[Path, Spot, str]] = []
        self._values: dict[Path, Node] = {}
        self._keys: dict[Path, Node] = {}
        if len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
            raise _unreadable(1, 1, "keep the file within 1 MiB")
        root = _compose(self.text)
        self.data = self._plain(root, ()) if root is not None else None

    # Data

    def _plain(self, node: Node, path: Path) -> Any:
        """Return the data of a node and remember where it and its parts stand."""
        self._values[path] = node
        if len(self._values) > NODES_MAX:
            raise _unreadable(*_start(node), f"keep the file within {NODES_MAX} values, counting what aliases repeat")
        if len(path) > DEPTH_MAX:
            raise _unreadable(*_start(node), f"nest at most {DEPTH_MAX} deep")
        if isinstance(node, MappingNode):
            return dict(self._members(node, path))
        if isinstance(node, SequenceNode):
            self._check_tag(node, path)
            return [self._plain(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _members(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        self._check_tag(node, path)
        for key_node, value_node in node.value:
            key = self._scalar(key_node, path) if isinstance(key_node, ScalarNode) else None
            inner = (*path, str(key))
            if not isinstance(key, str):
                self._note(path, key_node, "write the key as text, in quotes if it looks like anything else")
            elif inner in self._values:
                line = _start(self._keys[inner])[0]
                self._note(path, key_node, f"write `{key}` once: it is there in line {line} already")
            else:
                self._keys[inner] = key_node
                yield key, self._plain(value_node, inner)

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        self._check_tag(node, path)
        text = str(node.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._note(path, node, "take the surrogate out of this text: it is half a character")
            return ""
        if node.style is not None or node.tag == _STANDARD + "str":
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text) and len(text) <= 64:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                self._note(path, node, "write a smaller number")
                return 0.0
            return number
        return text

    def _check_tag(self, node: Node, path: Path) -> None:
        if node.tag is not None and str(node.tag) not in _TAGS:
            self._note(path, node, f"take the tag `{node.tag}` away")

    def _note(self, path: Path, node: Node, message: str) -> None:
        self.mistakes.append((path, _start(node), message))

    # Places

    def value_spot(self, path: Path) -> Spot:
        """Return where the value at `path` stands: a list's or mapping's key; its nearest parent's spot without one."""
        while path not in self._values:
            path = path[:-1]
        node = self._values[path]
        # What isn't there (`delay:` and nothing) has no spot of its own either.
        is_written = isinstance(node, ScalarNode) and (node.value or node.style is not None)
        return _start(node if is_written else self._keys.get(path, node))

    def start_spot(self, path: Path) -> Spot:
        """Return where the value at `path` begins, which for a mapping is its first key or brace."""
        return _start(self._values[path]) if path in self._values else self.value_spot(path)

    def key_spot(self, path: Path) -> Spot:
        """Return where the key of `path` stands."""
        return _start(self._keys[path]) if path in self._keys else self.value_spot(path)

    def character_spot(self, path: Path, offset: int) -> Spot:
        """Return where character `offset` of the text at `path` stands, however the text is quoted, folded or indented.

        White space may have been folded, so what counts is how many other characters come before.
        """
        node = self._values[path]
        assert isinstance(node, ScalarNode)
        before = sum(not character.isspace() for character in node.value[:offset])
        at_end = not node.value[offset:].strip()
        index = behind = node.start_mark.index
        for index, length, is_space in self._characters(node):
            if is_space:
                continue
            if before == 0 and not at_end:
                return self._spot(index)
            before -= 1
            behind = index + length
            if before == 0 and at_end:
                break
        return self._spot(behind if at_end else index)

    def _characters(self, node: ScalarNode) -> Iterator[tuple[int, int, bool]]:
        """Yield (index in the text, length there, is white space) for each character of a scalar as written."""
        labels = _LABELS.match(self.text, node.start_mark.index)
        first, last = labels.end() if labels is not None else node.start_mark.index, node.end_mark.index
        if node.style in ("|", ">"):
            first = self.text.find("\n", first, last) + 1 or last
        if node.style not in ("'", '"'):
            yield from ((index, 1, self.text[index].isspace()) for index in range(first, last))
            return
        pattern = _ESCAPE if node.style == '"' else re.compile(r"('')|(.)", re.DOTALL)
        for match in pattern.finditer(self.text, first + 1, last - 1):
            escaped, plain = match[1], match[2]
            is_space = plain.isspace() if plain is not None else node.style == '"' and _is_space_escape(escaped)
            yield match.start(), len(match[0]), is_space

    def _spot(self, index: int) -> Spot:
        before = self.text[:index].replace("\r\n", "\n").replace("\r", "\n")
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def _is_space_escape(escaped: str) -> bool:
    if escaped[0] in "xuU":
        return chr(int(escaped[1:], 16)).isspace()
    return escaped[0] in "tnvfr NLP_\t\r\n"


def _start(node: Node) -> Spot:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _unreadable(line: int, column: int, message: str) -> DefinitionsError:
    return DefinitionsError([Mistake(line, column, "", message)])


def _compose(text: str) -> Node | None:
    """Return the root node of the one document in `text`, None if it is empty."""
    reader = YAML(typ="safe", pure=True)  # the round-trip reader marks folds inside the texts
    reader.version = "1.2"
    reader.composer.warn_double_anchors = False
    try:
        node = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        problem = str(error.problem or error.context)
        if problem.startswith("but "):
            problem = f"{error.context} {problem}"
        problem = " ".join(problem.split())
        raise _unreadable(line, column, f"correct the YAML here: {problem}") from None
    except RecursionError:
        raise _unreadable(1, 1, f"nest at most {DEPTH_MAX} deep") from None
    except YAMLError as error:
        position = getattr(error, "position", 0)
        before = text[:position]
        problem = " ".join(str(getattr(error, "reason", error)).split())
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise _unreadable(line, column, f"correct the YAML here: {problem}") from None
    assert node is None or isinstance(node, Node)
    return node
