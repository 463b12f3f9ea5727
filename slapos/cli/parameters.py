"""Parameters as people write them: ``key=value``, ``key:=json``, or a JSON or YAML file.

The protocol carries flat texts.  A structure travels as JSON text under the key ``_`` (serialisation
``json-in-xml``); which of both a release expects is said by its schema.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from slapos.model.errors import InputError
from slapos.model.text import check_text

STRUCTURE_KEY = "_"
FILE_ENDINGS = (".json", ".yaml", ".yml", ".xml")
DEPTH_LIMIT = 60  # levels; the master takes 64


def read_parameters(words: Sequence[str], file: str | None = None) -> dict[str, Any]:
    """The parameters of ``words`` over those of ``file``; a word may itself name a file.

    :raises InputError: ``invalid-parameters`` with the word or the file, line and column that cannot be read.
    """
    read: dict[str, Any] = read_file(file) if file else {}
    for word in words:
        if "=" not in word and word.endswith(FILE_ENDINGS):
            read.update(read_file(word))
        else:
            key, value = read_pair(word)
            read[key] = value
    check_value("parameters", read)
    return read


def check_value(field: str, value: Any, depth: int = 0) -> None:
    """:class:`InputError` names the field that cannot travel as JSON: a character, a date, a number that is none."""
    if isinstance(value, str):
        check_text(field, value)
    elif isinstance(value, dict | list):
        if depth > DEPTH_LIMIT:
            raise _cannot_travel(field, f"it is nested more than {DEPTH_LIMIT} levels deep")
        for key, member in value.items() if isinstance(value, dict) else ():
            if not isinstance(key, str):
                raise _cannot_travel(field, f"its key {key!r} is no text; quote it")
            check_text(f"{field} (a key)", key)
            check_value(f"{field}.{key}", member, depth + 1)
        for number, member in enumerate(value) if isinstance(value, list) else ():
            check_value(f"{field}[{number}]", member, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _cannot_travel(field, f"{value} is no JSON number")
    elif value is not None and not isinstance(value, bool | int | float):
        raise _cannot_travel(field, f"it is a {type(value).__name__}; quote it to make it a text")


def _cannot_travel(field: str, why: str) -> InputError:
    return InputError(
        f"{field[:200]}: {why}.",
        reference="invalid-parameters",
        context={"field": field[:200]},
        hint="Parameters are texts, numbers, true, false, null, lists and objects.",
    )


def read_pair(word: str) -> tuple[str, Any]:
    """``key=value`` gives a text, ``key:=json`` the value of the JSON."""
    key, equals, value = word.partition("=")
    if not equals or key in ("", ":"):
        raise InputError(
            f"{word!r} is not key=value.",
            reference="invalid-parameters",
            context={"field": word},
            hint="Write key=value, key:=json, or the path of a .json or .yaml file.",
        )
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], json.loads(value)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{key[:-1]}: {value!r} is not JSON: {error.msg} at position {error.pos}.",
            reference="invalid-parameters",
            context={"field": key[:-1], "position": error.pos},
            hint=f"Write {key[:-1]}=text for a plain text.",
        ) from None
    except RecursionError:
        raise _cannot_travel(key[:-1], "it is nested too deeply") from None


def read_file(path: str) -> dict[str, Any]:
    """The object in a ``.json``, ``.yaml`` or ``.yml`` file, or the texts of a ``.xml`` one."""
    import yaml  # few commands read a file

    if not path.endswith(FILE_ENDINGS):
        raise InputError(
            f"{path}: parameters are read from .json, .yaml, .yml or .xml files.",
            reference="invalid-parameters",
            context={"file": path},
        )
    try:
        with open(path, encoding="utf-8") as stream:
            data = _READERS.get(os.path.splitext(path)[1], yaml.safe_load)(stream)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file.",
            reference="no-such-file",
            context={"file": path},
            hint="Check the path; a relative one is looked for below the current directory.",
        ) from None
    except (json.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.",
            reference="invalid-parameters",
            context={"file": path},
            hint='Write one object, for example {"title": "My site"}.',
        ) from None
    if not isinstance(data, dict):
        raise InputError(
            f"{path} holds a {type(data).__name__}; parameters are an object (key: value).",
            reference="invalid-parameters",
            context={"file": path},
        )
    return {str(key): value for key, value in data.items()}


def _read_xml(stream: TextIO) -> dict[str, str]:
    """The field's document of parameters; an empty element is an empty text."""
    from slapos.wire.parameter_document import loads

    try:
        return {key: value or "" for key, value in loads(stream.read(), field=stream.name).items()}
    except InputError as error:
        error.context["file"] = stream.name
        raise


_READERS: Mapping[str, Callable[[TextIO], Any]] = {".json": json.load, ".xml": _read_xml}


def is_structured(values: Mapping[str, Any]) -> bool:
    """Whether ``values`` hold anything that a flat text cannot carry."""
    return any(not isinstance(value, str) for value in values.values())


def serialise(values: Mapping[str, Any], structured: bool) -> dict[str, str]:
    """``values`` as the protocol carries them; already wrapped ones are left as they are."""
    if set(values) == {STRUCTURE_KEY} and isinstance(values[STRUCTURE_KEY], str):
        return {STRUCTURE_KEY: values[STRUCTURE_KEY]}
    if structured:
        return {STRUCTURE_KEY: json.dumps(values, ensure_ascii=False, sort_keys=True)} if values else {}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def read_texts(words: Sequence[str], field: str) -> dict[str, str]:
    """``key=value`` words whose values are texts (SLA)."""
    texts = {}
    for word in words:
        key, value = read_pair(word)
        if not isinstance(value, str):
            raise InputError(f"{field}: {key} is a text.", reference="invalid-parameters", context={"field": key})
        texts[key] = value
    return texts


def carried_values(texts: Mapping[str, str]) -> dict[str, Any]:
    """What flat texts of the protocol mean: the structure under ``_`` where there is one, else the texts."""
    try:
        structure = json.loads(texts.get(STRUCTURE_KEY, ""))
    except (json.JSONDecodeError, RecursionError):
        return dict(texts)
    rest = {key: value for key, value in texts.items() if key != STRUCTURE_KEY}
    return {**rest, **structure} if isinstance(structure, dict) else dict(texts)
