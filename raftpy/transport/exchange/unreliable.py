"""A bad network on purpose: delays, losses, copies and overtaking, drawn from a seeded source.

Works on the sending side, on whole datagrams, so requests and replies suffer alike. The defaults are those of the
starting text: every datagram takes 1 to 5 ms, one in ten 75 ms instead, one in ten is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import environ
from random import Random

from raftcore.base.errors import ConfigError
from raftpy.contracts.entropy import Entropy

VARIABLE = "RAFTPY_UNRELIABLE"
ALLOWED = (
    "allowed is 1 or on (the defaults), 0 or off, or a list of drop=RATE, delay=MS or MS-MS, long=MS, long_rate=RATE, "
    "dup=RATE, reorder=RATE and seed=NUMBER, where RATE is 0 to 1 and MS 0 to 60000; what is not named keeps its "
    "default (as in drop=0.1,delay=1-5,long=75,long_rate=0.1,dup=0,reorder=0)"
)
MAX_DELAY_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Unreliable:
    """How bad the network is. Rates are probabilities for each datagram, 0 to 1, delays are milliseconds, 0 to 60,000.

    Raises ``ConfigError`` for a value outside that, or when ``drop_rate`` and ``long_delay_rate`` are above 1 together.
    """

    delay_ms: tuple[float, float] = (1.0, 5.0)
    """Every datagram's delay, evenly distributed from the first to the second; drawn for each by itself, so a later
    one may overtake."""
    long_delay_ms: float = 75.0
    """Delay of one in 1/``long_delay_rate`` datagrams, in place of the above."""
    long_delay_rate: float = 0.1
    """How often it takes that long."""
    drop_rate: float = 0.1
    """How often a datagram is lost."""
    duplicate_rate: float = 0.0
    """How often a datagram is sent twice, each copy with a delay of its own."""
    reorder_rate: float = 0.0
    """How often a datagram waits for twice the longest usual delay more, and at least 1 ms, so that those sent after
    it overtake it for certain when ``delay_ms`` alone would keep their order."""
    seed: int | None = None
    """Of all draws, a whole number. None: another run, other draws."""

    def __post_init__(self) -> None:
        for name in ("long_delay_rate", "drop_rate", "duplicate_rate", "reorder_rate"):
            rate = getattr(self, name)
            if not 0 <= rate <= 1:
                raise ConfigError(f"Unreliable({name}={rate!r}): a rate is 0 to 1")
        if self.drop_rate + self.long_delay_rate > 1:
            raise ConfigError(
                f"Unreliable(drop_rate={self.drop_rate!r}, long_delay_rate={self.long_delay_rate!r}): "
                "together they are at most 1, for a datagram is lost or late, not both"
            )
        low, high = self.delay_ms
        if not 0 <= low <= high <= MAX_DELAY_MS:
            raise ConfigError(f"Unreliable(delay_ms={self.delay_ms!r}): allowed is 0 <= first <= second <= 60000 ms")
        if not 0 <= self.long_delay_ms <= MAX_DELAY_MS:
            raise ConfigError(f"Unreliable(long_delay_ms={self.long_delay_ms!r}): allowed is 0 to 60000 ms")

    @classmethod
    def parse(cls, text: str) -> Unreliable | None:
        """Reads the variable's form; None for off. Raises ``ConfigError`` that names the value and what is allowed."""
        word = text.strip().lower()
        if word in ("", "0", "off"):
            return None
        spec = cls()
        if word in ("1", "on"):
            return spec
        for part in word.split(","):
            key, separator, value = (piece.strip() for piece in part.partition("="))
            try:
                if not separator:
                    raise ValueError(f"{part!r} is no KEY=VALUE")
                spec = spec._with(key, value)
            except ValueError as error:
                raise ConfigError(f"{VARIABLE}={text!r}: {error}; {ALLOWED}") from None
        return spec

    def _with(self, key: str, value: str) -> Unreliable:
        match key:
            case "drop":
                return replace(self, drop_rate=float(value))
            case "delay":
                low, separator, high = value.partition("-")
                return replace(self, delay_ms=(float(low), float(high if separator else low)))
            case "long":
                return replace(self, long_delay_ms=float(value))
            case "long_rate":
                return replace(self, long_delay_rate=float(value))
            case "dup":
                return replace(self, duplicate_rate=float(value))
            case "reorder":
                return replace(self, reorder_rate=float(value))
            case "seed":
                return replace(self, seed=int(value))
            case _:
                raise ValueError(f"{key!r} is not known")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Unreliable | None:
        """What ``RAFTPY_UNRELIABLE`` says; None when it is not set or off. Raises ``ConfigError``."""
        return cls.parse((environ if environment is None else environment).get(VARIABLE, ""))

    def draw(self, source: Random) -> list[float]:
        """One datagram's fate: a delay in seconds for each copy that arrives; empty when it is lost."""
        dice = source.random()
        if dice < self.drop_rate:
            return []
        low, high = self.delay_ms

        def delay_ms(long: bool) -> float:
            late = self.long_delay_ms if long else source.uniform(low, high)
            if self.reorder_rate and source.random() < self.reorder_rate:
                late += max(2 * high, 1.0)
            return late

        delays = [delay_ms(dice < self.drop_rate + self.long_delay_rate) / 1000]
        if self.duplicate_rate and source.random() < self.duplicate_rate:
            delays.append(delay_ms(False) / 1000)
        return delays


def carry(
    delays: list[float], call_later: Callable[[float, Callable[[], object]], object], deliver: Callable[[], object]
) -> None:
    """Delivers once for each delay, in seconds: at once where it is 0, else through ``call_later``."""
    for delay_s in delays:
        if delay_s > 0:
            call_later(delay_s, deliver)
        else:
            deliver()


def seed_of(unreliable: Unreliable | None, entropy: Entropy) -> int:
    """Of the draws that make the wire bad; one that is good draws nothing."""
    if unreliable is None:
        return 0
    return entropy.u64() if unreliable.seed is None else unreliable.seed
