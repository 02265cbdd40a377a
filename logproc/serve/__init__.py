"""ClickHouse's HTTP interface over an engine in this process: what `logproc serve` and `logproc up` answer with.

    parameters.py   what the URL and the headers say; body.py, compression.py: the body, decompressed and complete
    users.py        who it is and what they may do
    statements.py   the statement: where its FORMAT and its data are
    guard.py        what of it is refused; words.py: by what its syntax tree does not show
    beginning.py    where in a request the statement is, and its data
    queries.py      run it, stream its result, end it when the client leaves
    answers.py      headers, codes, errors as ClickHouse writes them
    app.py          the routes; server.py: sockets, signals, TLS

The engine itself is behind `engine.Engine`; `commands/` brings one.
"""
