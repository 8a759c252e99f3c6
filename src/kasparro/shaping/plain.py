"""The plain way from records to rows: without parsing, where nothing in the records asks for it."""

from collections.abc import Sequence

from kasparro.model.page import CsvRecords, JsonRecords
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping.origins import origins_of
from kasparro.shaping.plain_csv import shape_plain
from kasparro.shaping.plain_json import keys_of, shape_plain_json
from kasparro.shaping.plain_plan import PlainPlan, plain_plan
from kasparro.shaping.plan import Shape


class Plain:
    """Shapes plain records, by a plan for each set of columns."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._plans: dict[tuple[str, ...], PlainPlan | None] = {}

    def shape(self, batch: Sequence[CsvRecords | JsonRecords], stamp: Stamp, numbers: Sequence[int]) -> Shaped | None:
        """Return the rows of pages that hold records; None where the general way is needed. `numbers`: of the pages."""
        first = batch[0]
        if isinstance(first, CsvRecords):
            plan = self._plan(first.columns, from_json=False) if first.indexes is None else None
            return None if plan is None else shape_plain(first, plan, stamp, numbers[0])
        texts = [text for one in batch if isinstance(one, JsonRecords) for text in one.texts]
        keys = keys_of(texts[0])
        plan = None if keys is None else self._plan(keys, from_json=True)
        if keys is None or plan is None:
            return None
        return shape_plain_json(texts, keys, plan, stamp, origins_of(batch, numbers))

    def _plan(self, columns: tuple[str, ...], *, from_json: bool) -> PlainPlan | None:
        if columns not in self._plans:
            self._plans[columns] = plain_plan(self._shape, columns, from_json=from_json)
        return self._plans[columns]
