"""Lines of many streams to rows: which format, which reader, which table.

Each stream's format is remembered. Lines of one format in one frame are read by column, all at once; those the columnar reader
refuses one by one: by the same format's strict reader, then by those of the other known formats, as JSON, as ztunnel's, and last as
a message. A line that begins like an access log and cannot be read is kept as it is, in rejected_line.

A line that could have been printed by its stream's own format is never read by another one alone: a client can make its line look like
another format's, but not unlike its own. Where another one fits it exactly and the own one does not, only what both say counts.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Protocol

import numpy as np

from logproc.model import ACCESS_LOG, MESSAGE_LOG, PLAIN, REJECTED_LINE, Frame, LineNumbers, Parsed, Text
from parsers import derived, detect, incomplete, merge, prefixes, strict_rows
from parsers.arrow import Batch
from parsers.columnar import ColumnarReader
from parsers.detect import Fit, strict_reader
from parsers.format_string import Format
from parsers.frames import FrameColumns
from parsers.lines import Lines
from parsers.merge import Piece
from parsers.messages import MessageReader

REMEMBERED_STREAMS = 1 << 14
ENOUGH_TO_GATHER = 64
"""Lines of another format from which reading them by column pays."""


ENOUGH_TO_CHANGE = 16
"""Lines of another format from which a stream is taken to have changed: a few may be strays."""
MOST_PREFIXES = 2
"""Prefixes one behind the other, such as a forwarder's object around what `docker compose` prints."""


class _Json:
    """Stands for "lines of JSON" where a stream's format is remembered."""


JSON_LINES = _Json()
_Choice = Format | _Json | None
_Taken = dict[Format, LineNumbers]
"""Which lines formats other than the stream's own took."""


class LineReader(Protocol):
    """Reads lines of JSON."""

    def read(self, data: bytes, lines: int, frame: Frame) -> Parsed:
        """One row for each line."""
        ...


class FormatParser:
    """The `logproc.model.Parser` of all formats. `configured`: read with this one; None: detect it, stream by stream."""

    def __init__(self, configured: Format | None = None) -> None:
        self._configured = configured
        self._json = configured if configured is not None and configured.json is not None else None
        self.known = detect.known()
        if configured is not None and configured.json is None:
            self.known = (configured, *(f for f in self.known if f is not configured))
        self._streams: OrderedDict[Hashable, Format | _Json] = OrderedDict()
        self._columnar: dict[tuple[Format, Frame], ColumnarReader] = {}
        self.messages = MessageReader()

    @cached_property
    def json_lines(self) -> LineReader:
        """The reader of JSON lines."""
        from parsers.json_lines import JsonReader

        return JsonReader(self._json)

    def prefer(self, formats: Sequence[Format]) -> None:
        """Look for these before all other known formats from now on; streams of another format keep it while their lines fit it."""
        texts = [f for f in formats if f.json is None]
        self.known = (*texts, *(f for f in detect.known() if f not in texts))
        self._json = next((f for f in formats if f.json is not None), None)
        self.__dict__.pop("json_lines", None)

    def parse(self, texts: Sequence[Text]) -> Parsed:
        """Read all lines of all texts at once. Never raises on data."""
        groups: dict[tuple[Frame, int], list[tuple[Text, int]]] = defaultdict(list)
        choices: dict[int, _Choice] = {}
        first = 0
        for text in texts:
            choice = self._choice(text)
            choices[id(choice)] = choice
            if text.lines:
                groups[text.frame, id(choice)].append((text, first))
            first += text.lines
        call = _Call(self)
        for (frame, choice_id), members in groups.items():
            data = members[0][0].data if len(members) == 1 else b"".join(t.data for t, _ in members)
            rows = np.concatenate([np.arange(start, start + t.lines) for t, start in members])
            others = call.read(frame, choices[choice_id], data, rows)
            self._learn(members, choices[choice_id], others)
        return merge.parsed(call.pieces, call.columnar)

    def is_given(self, format: Format | None) -> bool:
        """Whether a person said that lines have this format."""
        return format is not None and format is self._configured

    def columnar(self, format: Format, frame: Frame) -> ColumnarReader:
        """The columnar reader of a format in a frame, made once."""
        found = self._columnar.get((format, frame))
        if found is None:
            found = self._columnar[format, frame] = ColumnarReader(format, frame)
        return found

    def _choice(self, text: Text) -> _Choice:
        if self._configured is not None:
            return JSON_LINES if self._configured.json is not None else self._configured
        found = self._streams.get(text.stream)
        if found is not None:
            self._streams.move_to_end(text.stream)
            return found
        found = self.detect(list(_sample(text)))
        if found is not None:
            self._remember(text.stream, found)
        return found

    def detect(self, lines: list[bytes]) -> Format | _Json | None:
        """What most of these lines are; None where none is an access log."""
        json_lines = sum(line.startswith(b"{") for line in lines)
        if json_lines * 2 > len(lines):
            return JSON_LINES
        return detect.choose(lines, self.known)

    def _remember(self, stream: Hashable, choice: Format | _Json) -> None:
        self._streams[stream] = choice
        self._streams.move_to_end(stream)
        if len(self._streams) > REMEMBERED_STREAMS:
            self._streams.popitem(last=False)

    def _learn(self, members: list[tuple[Text, int]], choice: _Choice, others: dict[Format, LineNumbers]) -> None:
        """Another format has taken over a stream where it fits more lines than the remembered one is left with."""
        if self._configured is not None or not others:
            return
        for text, start in members:
            counts = {
                f: int(np.count_nonzero((rows >= start) & (rows < start + text.lines))) for f, rows in others.items()
            }
            best = max(counts, key=lambda f: counts[f])
            if choice is None or (counts[best] >= ENOUGH_TO_CHANGE and counts[best] * 2 > text.lines):
                self._remember(text.stream, best)


PREFIXED_COLUMNS = FrameColumns(prefixes.PREFIXED)


def _sample(text: Text) -> Iterator[bytes]:
    """Lines from the beginning of a text without their frames."""
    frame = FrameColumns(text.frame)
    for line in text.data[: detect.SAMPLE_BYTES].split(b"\n")[: detect.SAMPLE_LINES]:
        rest = frame.split(line)[1]
        found = prefixes.split(rest)
        if rest:
            yield (rest if found is None else found.line).rstrip(b"\r")


class _Call:
    """The rows of one call of `parse`, as they are found."""

    def __init__(self, parser: FormatParser) -> None:
        self.parser = parser
        self.pieces: list[Piece] = []
        self.columnar = 0

    def read(self, frame: Frame, choice: _Choice, data: bytes, rows: LineNumbers) -> _Taken:
        """Read the lines of one choice in one frame; which lines other formats took."""
        if b"\r\n" in data[: detect.SAMPLE_BYTES]:
            data = data.replace(b"\r\n", b"\n")
        if isinstance(choice, _Json):
            rest, lines = _picked(data, self._read_json(frame, data, rows))
            choice = None
        elif choice is not None and self.parser.columnar(choice, frame).possible:
            found = self.parser.columnar(choice, frame).read(data, len(rows))
            if len(found.lines):
                self.pieces.append(Piece(ACCESS_LOG, found.batch, rows[found.lines]))
                self.columnar += len(found.lines)
            rest, lines = found.refused, found.rest
        else:
            rest, lines = _picked(data, np.arange(len(rows)))
        if len(rest) == 0:
            return {}
        return self._read_lines(choice, Lines.of(FrameColumns(frame), lines, rows[rest]))

    def _read_json(self, frame: Frame, data: bytes, rows: LineNumbers) -> LineNumbers:
        found = self.parser.json_lines.read(data, len(rows), frame)
        self.columnar += found.columnar
        left = np.ones(len(rows), bool)
        for table, batch in found.tables.items():
            if batch.num_rows:
                self.pieces.append(Piece(table, batch, rows[found.rows[table]]))
                left[found.rows[table]] = False
        return np.flatnonzero(left)

    def _read_lines(self, format: Format | None, lines: Lines, *, prefixes_before: int = 0) -> _Taken:
        """Read line by line what no reader of many took."""
        taken, left = self._read_access(format, lines)
        messages = left[detect.MESSAGE]
        if prefixes_before < MOST_PREFIXES:
            taken |= self._read_prefixed(format, messages, prefixes_before)
        if messages.rows:
            self._add(MESSAGE_LOG, self.parser.messages.read(messages.lines, messages.times()), messages)
        for reason in (detect.TOO_LONG, detect.BINARY, detect.REJECTED):
            if reason in left and left[reason].rows:
                self._add(REJECTED_LINE, left[reason].rejected(reason), left[reason])
        return taken

    def _read_access(self, format: Format | None, lines: Lines) -> tuple[_Taken, defaultdict[str, Lines]]:
        """Read the access-log lines among them; what other formats took, and the others by what they are."""
        own = strict_reader(format) if format is not None else None
        is_given = self.parser.is_given(format)
        mine, spans, doubts = Lines(lines.frame), array("q"), list[str]()
        left = defaultdict[str, Lines](lambda: Lines(lines.frame))
        for line, words, row in zip(lines.lines, lines.words, lines.rows, strict=True):
            found = own.spans(line) if own is not None and len(line) <= detect.MAX_LINE_BYTES else None
            if found is not None:
                other = None if is_given or format is None else detect.rival(line, format, self.parser.known)
                if other is not None and format is not None:
                    both = detect.common([Fit(format, *found), other])
                    found = both.spans, both.doubt
                mine.add(line, words, row)
                spans.extend(chain.from_iterable(found[0]))
                doubts.append(found[1])
            else:
                left[detect.sort_of(line)].add(line, words, row)
        if format is not None and mine.rows:
            self._strict(format, mine, spans, doubts)
        taken = self._read_others(left.pop(detect.ACCESS, Lines(lines.frame)), left[detect.REJECTED], format)
        self._read_json_lines(left.pop(detect.JSON, Lines(lines.frame)), left[detect.MESSAGE])
        if detect.ZTUNNEL in left:
            from parsers.ztunnel import read as read_ztunnel

            found_lines = left.pop(detect.ZTUNNEL)
            self._add(ACCESS_LOG, read_ztunnel(found_lines.lines), found_lines)
        return taken, left

    def _read_prefixed(self, format: Format | None, messages: Lines, before: int) -> _Taken:
        """Read the lines that stand behind a prefix of their own, and take them from the messages."""
        certain, likely = Lines(PREFIXED_COLUMNS), Lines(PREFIXED_COLUMNS)
        plain = list[int]()
        originals = dict[int, tuple[bytes, list[bytes], int]]()
        for i, (line, words, row) in enumerate(zip(messages.lines, messages.words, messages.rows, strict=True)):
            found = prefixes.record(line) if line.startswith(b"{") else prefixes.split(line)
            if found is None:
                plain.append(i)
                continue
            told = [own or outer for own, outer in zip(found.words, messages.frame.told(words), strict=True)]
            (certain if found.certain else likely).add(found.line, told, row)
            if not found.certain:
                originals[row] = (line, words, row)
        if len(plain) == len(messages.rows):
            return {}
        kept = messages.some(np.array(plain, np.int64))
        taken = self._read_lines(format, certain, prefixes_before=before + 1) if certain.rows else {}
        if likely.rows:
            # Behind what may be a message's own beginning only a line that can be read counts.
            more, left = self._read_access(format, likely)
            taken |= more
            kept.merge([originals[row] for lines in left.values() for row in lines.rows])
        messages.lines, messages.words, messages.rows = kept.lines, kept.words, kept.rows
        return taken

    def _strict(self, format: Format, lines: Lines, spans: array[int], doubts: list[str]) -> None:
        columns = strict_rows.columns(strict_reader(format), lines.lines, spans, doubts)
        self._add(ACCESS_LOG, derived.batch(columns, len(lines.rows)), lines)

    def _read_others(self, lines: Lines, rejected: Lines, own: Format | None) -> _Taken:
        """Access-log lines of other formats than the stream's: what is known of each line decides."""
        taken: _Taken = {}
        formats = [f for f in self.parser.known if f is not own]
        # Many lines of one format among them are read by column; each pass takes the most frequent one.
        while len(lines.rows) >= ENOUGH_TO_GATHER:
            step = max(1, len(lines.rows) // detect.SAMPLE_LINES)
            best = detect.choose(lines.lines[::step], formats)
            if best is None or best in taken:
                break
            reader = self.parser.columnar(best, Frame("", ()))
            found = reader.read(b"\n".join(lines.lines) + b"\n", len(lines.rows)) if reader.possible else None
            if found is None or len(found.lines) == 0:
                break
            part = lines.some(found.lines)
            self._add(ACCESS_LOG, found.batch, part)
            self.columnar += len(found.lines)
            taken[best] = part.numbers()
            lines = lines.some(found.refused)
        by_format: dict[Format, tuple[Lines, array[int], list[str]]] = {}
        for line, words, row in zip(lines.lines, lines.words, lines.rows, strict=True):
            found_fit = detect.fit(line, formats) or incomplete.read(line, self.parser.known)
            if found_fit is None:
                rejected.add(line, words, row)
                continue
            part, spans, doubts = by_format.setdefault(found_fit.format, (Lines(lines.frame), array("q"), []))
            part.add(line, words, row)
            spans.extend(chain.from_iterable(found_fit.spans))
            doubts.append(found_fit.doubt)
        for other, (part, spans, doubts) in by_format.items():
            sure = np.array([not d for d in doubts], bool)
            self._strict(other, part, spans, doubts)
            if sure.any():  # no stream is remembered by a doubtful line
                taken[other] = np.concatenate((taken.get(other, np.empty(0, np.int64)), part.numbers()[sure]))
        return taken

    def _read_json_lines(self, lines: Lines, others: Lines) -> None:
        """Single lines of JSON; what the reader leaves is a message."""
        if not lines.rows:
            return
        # Its frame stands before a line again, if it has one: the reader of JSON takes lines as a runtime prints them.
        whole = lines.frame.frame if lines.frame is not PREFIXED_COLUMNS else PLAIN
        framed = zip(lines.words, lines.lines, strict=True)
        data = b"".join(b" ".join([*(words if whole.fields else ()), line]) + b"\n" for words, line in framed)
        before = len(self.pieces)
        left = self._read_json(whole, data, lines.numbers())
        if lines.frame is PREFIXED_COLUMNS:
            self._name_pods(lines, before)
        others.merge([(lines.lines[i], lines.words[i], lines.rows[i]) for i in left.tolist()])

    def _name_pods(self, lines: Lines, since: int) -> None:
        """Add to pieces what the prefixes of their lines tell."""
        at = {row: i for i, row in enumerate(lines.rows)}
        for i, piece in enumerate(self.pieces[since:], since):
            some = lines.some(np.array([at[row] for row in piece.rows.tolist()], np.int64))
            self.pieces[i] = Piece(piece.table, some.with_frame(piece.batch), piece.rows)

    def _add(self, table: str, batch: Batch, lines: Lines) -> None:
        self.pieces.append(Piece(table, lines.with_frame(batch), lines.numbers()))


def _picked(data: bytes, which: LineNumbers) -> tuple[LineNumbers, list[bytes]]:
    """These numbers and the lines that have them, without their newlines."""
    lines = data.split(b"\n") if len(which) else []
    return which, [lines[i] for i in which.tolist()]
