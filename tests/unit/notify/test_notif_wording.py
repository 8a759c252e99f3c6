"""What messages say, and that no text can break out of its place."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.notification import MOST_ITEMS, Item, Message, no_counts, plain, plain_item, worst_first
from kasparro.model.redact import Redactor
from kasparro.notify.bodies import json_body, slack_body
from kasparro.notify.channels import Email
from kasparro.notify.mail import mail_of
from kasparro.notify.wording import facts, rest, summary, title

ITEM = Item(
    what="finding",
    source="coins",
    run_id=7,
    kind="field_removed",
    severity="warning",
    subject="price",
    message="price is in none of 800 records.",
    happened_at="2026-11-23T12:00:00+00:00",
)
MAIL = Email(host="localhost", sender="kasparro@example.com", to="a@example.com")


def message(*items: Item, **counts: int) -> Message:
    made = datetime(2026, 11, 23, tzinfo=UTC)
    given = {"id": 1, "key": "k", "channel": "ops", "instance": "here", "made_at": made}
    return Message(**given, items=items, counts={**no_counts(), **counts})  # type: ignore[arg-type]


def test_a_summary_says_of_which_sources_how_much_of_what() -> None:
    others = [replace(ITEM, source=name) for name in ("news", "rates", "sales")]
    assert summary(message(ITEM, warning=1)) == "coins: 1 warning"
    assert summary(message(ITEM, *others, failures=2, warning=1200, info=1)) == (
        "coins, news, rates and other sources: 2 failures, 1,200 warnings, 1 remark"
    )
    assert summary(message(replace(ITEM, what="test"))) == "coins: a test"


def test_a_thing_is_told_with_its_numbers() -> None:
    assert title(ITEM) == "coins: field_removed of price (warning)"
    assert title(replace(ITEM, subject="run")) == "coins: field_removed (warning)"
    assert title(replace(ITEM, what="failure", kind="run_failed", subject="denied")) == "coins: run_failed (warning)"
    full = replace(ITEM, expected={"low": 1000, "high": 2000.5}, observed=[True, None, "x"], again=2, look="kasparro x")
    assert facts(full) == [
        "price is in none of 800 records.",
        "expected: 1,000 to 2000.5",
        "observed: true, null, x",
        "met 2 more times since it was last told",
        "run 7, at 2026-11-23T12:00:00+00:00",
        "look closer: kasparro x",
    ]
    assert facts(replace(ITEM, run_id=None, expected={"a": 1}, again=1))[1:4] == [
        "expected: a: 1",
        "met 1 more time since it was last told",
        "at: 2026-11-23T12:00:00+00:00",
    ]


def test_what_is_not_told_is_counted() -> None:
    assert rest(message(ITEM, warning=1), 1) is None
    assert rest(message(ITEM, ITEM, warning=10_000), 1) == "and 9,999 more; see them all: kasparro findings"


def test_the_worst_comes_first_and_the_rest_is_left_out() -> None:
    many = [replace(ITEM, subject=str(number), severity="info") for number in range(80)]
    kept = worst_first([*many, replace(ITEM, severity="critical"), ITEM])
    assert len(kept) == MOST_ITEMS
    assert [one.severity for one in kept[:3]] == ["critical", "warning", "info"]
    assert kept[2].subject == "0"


def test_a_text_is_made_plain() -> None:
    assert plain("a\r\n b\tc\x00d\u2028e\x7ff\u202eg\ud800h") == "a b c d e fg h"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
    assert plain(" " * 5000 + "x", 10) == "…"
    assert plain("") == ""


def test_secrets_are_masked_before_a_text_is_cut() -> None:
    secret = "sesame-open-" * 30
    safe = plain_item(
        replace(ITEM, message="x" * 900 + secret, observed={"a": [secret]}, expected=secret), Redactor({secret})
    )
    assert "sesame" not in json.dumps(safe.to_json())


TEXTS = st.text(max_size=2000)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=6,
)


@given(source=TEXTS, subject=TEXTS, said=TEXTS, value=VALUES)
def test_no_text_breaks_a_form(source: str, subject: str, said: str, value: Any) -> None:
    odd = replace(ITEM, source=source, subject=subject, message=said, expected=value, observed=value)
    told = message(*[plain_item(odd, Redactor())] * MOST_ITEMS, warning=70)
    assert json.loads(json.dumps(json_body(told))) == json_body(told)
    body = slack_body(told)
    texts = [block["text"]["text"] for block in body["blocks"][:-1]] + [body["blocks"][-1]["elements"][0]["text"]]
    assert len(texts) <= 50
    assert max(map(len, texts)) <= 3000
    assert sum(map(len, texts)) <= 13_000
    assert not any({"<", ">"} & set(text) for text in texts)
    mail = mail_of(MAIL, told)
    raw = mail.as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]
    assert {name for name, _ in mail.items()} == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Mailer", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
