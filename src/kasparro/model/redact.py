"""Keeps secrets out of every text that leaves the process: logs, errors, tables, answers."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "****"

_SHORTEST = 4
"""Shorter values are not masked: they are no secrets, and masking them would spoil every other text."""

_USERINFO = re.compile(r"(?<=://)(?!user:password@)[^/@\s]+(?=@)")
"""Not what our own messages say of how an address is written."""

_PARAMETER = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:key|token|secret|password|passwd|pwd|signature|credential)|auth|sig|pass)=)[^&#\s\"']+"
)


class Redactor:
    """Masks known secrets, credentials in URLs and query parameters that by their name hold one.

    Args:
        secrets: The texts to mask wherever they occur, also in their percent-encoded form.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {text for text in secrets if len(text) >= _SHORTEST}
        forms = known | {quote(text, safe="") for text in known} | {quote_plus(text) for text in known}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(form) for form in longest_first)) if longest_first else None

    def __call__(self, text: str) -> str:
        """Return the text with every secret masked."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _PARAMETER.sub(rf"\1{MASK}", _USERINFO.sub(MASK, text))
