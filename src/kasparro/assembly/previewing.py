"""Looks at the first page of a source, shaped, without a database."""

import asyncio
from contextlib import aclosing
from typing import Any

from kasparro.assembly.jobs import shape_of
from kasparro.assembly.running import opened
from kasparro.assembly.scratch import scratch_folder
from kasparro.config import Config, Settings
from kasparro.model.shaped import ROW_COLUMNS, Stamp
from kasparro.shaping.shaper import Shaper


async def preview_source(config: Config, settings: Settings) -> dict[str, Any]:
    """Return `source, kind, columns, rows` (CSV bytes), `count` and `rejects` of the first page of the first source."""
    declared = config.sources[0]
    shape = shape_of(declared, config)
    columns = [*ROW_COLUMNS, *(field.name for field in shape.dataset.fields)]
    seen: dict[str, Any] = {"source": declared.name, "kind": declared.kind.type, "columns": columns}
    seen |= {"rows": b"", "count": 0, "rejects": ()}
    stamp = Stamp(source=declared.name, run_id=0, page_ids=[0])
    with scratch_folder() as scratch:
        async with opened(declared, config, settings, scratch) as source:
            for part in await source.slices():
                async with aclosing(source.read(part, {})) as pages:  # type: ignore[type-var] # a generator
                    async for page in pages:
                        with Shaper(shape, source.tools.scratch) as shaper:
                            shaped = await asyncio.to_thread(shaper.shape, [page], stamp)
                        rejects = (*page.rejects, *shaped.rejects)
                        return seen | {"rows": shaped.rows, "count": shaped.count, "rejects": rejects}
    return seen
