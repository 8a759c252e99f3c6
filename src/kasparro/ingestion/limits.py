"""Stops a run that is going wrong: too many of its records are rejected."""

from kasparro.errors import Broken
from kasparro.model.limit import Limit
from kasparro.model.run import Counts


class RejectLimit:
    """Adds up the commits of a run.

    Args:
        source: Name of the source, for the message.
        limit: What is still fine; None is anything.
    """

    def __init__(self, source: str, limit: Limit | None) -> None:
        self._source = source
        self._limit = limit
        self._counts = Counts()

    def add(self, counts: Counts) -> None:
        """Take the counts of a commit. Raises Broken when too many were rejected by now; what is committed stays."""
        self._counts += counts
        self._judge(at_end=False)

    def end(self) -> None:
        """Judge the whole run. Raises Broken."""
        self._judge(at_end=True)

    def _judge(self, *, at_end: bool) -> None:
        rejected, extracted = self._counts.rejected, self._counts.extracted
        if self._limit is not None and self._limit.passed(rejected, extracted, at_end=at_end):
            raise Broken(
                f"{rejected:,} of {extracted:,} records of {self._source} were rejected, more than max_rejects allows "
                f"({self._limit}). What was committed stays. Look at them: kasparro rejects list {self._source}; then "
                "correct the mapping or the source, or raise max_rejects.",
                too_many_rejects=True,
            )
