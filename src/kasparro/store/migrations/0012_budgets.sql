-- What may be asked of a host, shared by all processes on all hosts: resilience/budget_book.py knows what is in a book.

-- key: the host, and a mark of the credentials where they have a budget of their own: 24 bits of a hash, which tell
-- credentials apart and are too little to find one.
CREATE TABLE rate_budget (
    key        text        PRIMARY KEY COLLATE "C",
    host       text        NOT NULL,
    book       json,
    -- Until when the book says anything; nobody asks before hold_until.
    lasts      timestamptz NOT NULL DEFAULT now(),
    hold_until timestamptz
) WITH (fillfactor = 50);
