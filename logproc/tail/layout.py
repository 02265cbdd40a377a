"""Which columns a row of the live view has and how wide they are: they grow with what comes, and share a terminal's width."""

from __future__ import annotations

from dataclasses import dataclass, field

from logproc.text_table import display_width

GAP = " "


@dataclass(frozen=True, slots=True)
class Field:
    """One column. `least` and `most` characters; `right`: numbers."""

    name: str
    least: int
    most: int
    right: bool = False


TIME = Field("time", 12, 12)
POD = Field("pod", 8, 32)
NAMESPACE = Field("namespace", 4, 20)
CONTAINER = Field("container", 4, 16)
ARROW = Field("direction", 1, 1)
METHOD = Field("method", 3, 7)
PATH = Field("path", 12, 60)
CODE = Field("code", 3, 3, right=True)
FLAGS = Field("flags", 1, 34)
DURATION = Field("duration", 5, 8, right=True)
SERVICE = Field("service", 8, 44)
SUBSET = Field("subset", 1, 16)
DETAILS = Field("details", 12, 40)
HOST = Field("host", 12, 24)
RECEIVED = Field("received", 4, 8, right=True)
SENT = Field("sent", 4, 8, right=True)
REQUEST_ID = Field("request_id", 36, 36)
AGENT = Field("agent", 8, 40)

USUAL = (TIME, POD, ARROW, METHOD, PATH, CODE, FLAGS, DURATION, SERVICE, SUBSET)
FURTHER = (DETAILS, HOST, RECEIVED, SENT, REQUEST_ID, AGENT)
"""What a wide terminal or `-o wide` shows besides."""
FLEXIBLE = (PATH, SERVICE, POD, FLAGS, AGENT, DETAILS)
"""Give way where there is no room, the first of them first."""
NARROW_PATH = 24
"""Characters that a path keeps before anything else gives way."""


@dataclass(slots=True)
class Layout:
    """`width`: a terminal's, into which a row is made to fit; None: nothing is cut.

    Widths only grow, so that rows stay aligned; a terminal's new size starts afresh.
    """

    width: int | None = None
    wide: bool = False
    namespaces: bool = False
    containers: bool = False
    times: int = 12
    pods: bool = False
    """A pod is known: lines of a plain file have none."""
    fields: tuple[Field, ...] = field(init=False, default=())
    seen: dict[str, int] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.resize(self.width)

    def resize(self, width: int | None) -> None:
        """Choose the columns for a width."""
        self.width = width
        usual = [f for f in USUAL if self.pods or f is not POD]
        if self.namespaces or (self.wide and self.pods):
            usual.insert(1, NAMESPACE)
        if self.containers or (self.wide and self.pods):
            usual.insert(usual.index(ARROW), CONTAINER)
        fields = list(usual)
        if self.wide:
            fields += FURTHER
        elif width is not None:
            if width < 110:
                fields = [f for f in usual if f is not SUBSET]
            if width < 72:
                fields = [f for f in fields if f is not SERVICE]
            room = (
                width
                - sum(f.most if f in (TIME, REQUEST_ID) else max(f.least, min(f.most, 24)) for f in fields)
                - len(fields)
            )
            for extra in FURTHER:
                if room > extra.most:
                    fields.append(extra)
                    room -= extra.most + 1
        self.fields = tuple(fields)
        self._fit()

    def have_pods(self) -> None:
        """From here on there is a column for them."""
        if not self.pods:
            self.pods = True
            self.resize(self.width)

    def grow(self, name: str, texts: list[str]) -> None:
        """See what a column has to hold."""
        longest = max(map(len, texts), default=0)
        if longest > self.seen.get(name, 0):
            widest = longest if all(map(str.isascii, texts)) else max(map(display_width, texts))
            self.seen[name] = max(self.seen.get(name, 0), widest)

    def settle(self) -> None:
        """Take the widths that were seen."""
        self._fit()

    def _fit(self) -> None:
        widths = {}
        for f in self.fields:
            least, most = (self.times, self.times) if f is TIME else (f.least, f.most)
            widths[f.name] = min(max(self.seen.get(f.name, 0), least), most)
        if self.width is not None and not self.wide:
            over = sum(widths.values()) + len(GAP) * (len(widths) - 1) - self.width
            for step, f in enumerate((*FLEXIBLE, PATH)):
                if over <= 0:
                    break
                if f.name in widths:
                    least = NARROW_PATH if f is PATH and step == 0 else f.least
                    given = min(over, max(0, widths[f.name] - least))
                    widths[f.name] -= given
                    over -= given
        self.widths = widths
