"""The live view: log lines of pods, files, pipes, topics and stores as they come, parsed, ordered, filtered and shown.

    source ──> order ──> reading ──> filters ──> view (or summary)
    chunks     by the    typed       masks       one line of text
    of lines   runtime's rows        over        for each row
               time                  columns

`session.py` is the loop. Sources of lines are those of the collector (`files`, `stdin`) and `kube_source`; a store or a topic hands
on rows (`feeds`). Nothing here knows a log format or a database: the command brings the parser and opens the store.
"""
