import sys
from types import ModuleType

import pytest
from fastapi import FastAPI
from uvicorn.importer import import_from_string

from kasparro.api import main


def test_app_is_made_when_a_server_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FastAPI] = []

    def api_app() -> FastAPI:
        made.append(FastAPI())
        return made[-1]

    assembly = ModuleType("kasparro.assembly.serving")
    assembly.api_app = api_app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kasparro.assembly.serving", assembly)
    main._assembled.cache_clear()  # noqa: SLF001 - of what other tests may have made
    try:
        assert made == []
        first = import_from_string("kasparro.api.main:app")
        assert import_from_string("kasparro.api.main:app") is first
        assert made == [first]
    finally:
        main._assembled.cache_clear()  # noqa: SLF001 - the next one is real again


def test_nothing_else_is_there() -> None:
    with pytest.raises(AttributeError, match="application"):
        main.application  # noqa: B018
