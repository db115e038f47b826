"""What a call costs: the price table, and usage as the API counts it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_DATED = re.compile(
    r"(-latest|-\d{8}|@\d{8})$"
)  # claude-opus-4-5-20251101, claude-3-5-haiku-latest
_NANOS = 1000  # nano-dollars in a micro-dollar; one token at $1 a million costs 1000 of them


class UnpricedError(Exception):
    """A model, or a way of using it, that the table has no price for; the text names it."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as the API's `usage` counts them; `input` without what was cached."""

    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    web_searches: int = 0

    @property
    def prompt(self) -> int:
        """All tokens that went in."""
        return self.input + self.cache_write_5m + self.cache_write_1h + self.cache_read


@dataclass(frozen=True)
class Tier:
    """Nano-dollars per token."""

    input: int
    output: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int


@dataclass(frozen=True)
class Price:
    """What one model costs, as a request wants it used."""

    tier: Tier
    long_above: int | None = None  # tokens of prompt
    long_tier: Tier | None = None
    web_search: int = 0  # nano-dollars each
    times: float = 1.0

    def cost(self, usage: Usage) -> int:
        """Micro-dollars, rounded up."""
        long = self.long_tier and self.long_above is not None and usage.prompt > self.long_above
        tier = self.long_tier if long and self.long_tier else self.tier
        tokens = (
            usage.input * tier.input
            + usage.output * tier.output
            + usage.cache_write_5m * tier.cache_write_5m
            + usage.cache_write_1h * tier.cache_write_1h
            + usage.cache_read * tier.cache_read
        )
        nanos = round(tokens * self.times) + usage.web_searches * self.web_search
        return -(-nanos // _NANOS)


def price(request: Mapping[str, object]) -> Price:
    """The price of what a request asks for. Raises UnpricedError naming what has none."""
    table = _table()
    asked = request.get("model")
    model = _plain(str(asked))
    tiers: Mapping[str, str] = table["models"]
    if request.get("speed") not in (None, "standard"):
        tiers = table["fast"] if request["speed"] == "fast" else {}
        if model not in tiers:
            raise UnpricedError(f"the model {asked} with speed {request['speed']}")
    name = tiers.get(model)
    if name is None:
        raise UnpricedError(f"the model {asked}")
    for tool in _tools(request):
        if tool.startswith("code_execution"):  # billed by time, which no answer tells
            raise UnpricedError(f"the tool {tool}")
    geography = request.get("inference_geo")
    if geography not in (None, "us", "global"):
        raise UnpricedError(f"inference_geo {geography}")
    long = table["long"].get(name, {})
    return Price(
        tier=_tier(table["tiers"][name]),
        long_above=long.get("above"),
        long_tier=_tier(long["tier"]) if long else None,
        web_search=_nanos(table["web_search"] * 1_000_000),
        times=table["us_only"] if geography == "us" else 1.0,
    )


def _tools(request: Mapping[str, object]) -> list[str]:
    """The kinds of tools that the API itself runs."""
    tools = request.get("tools")
    kinds = (
        [tool.get("type") for tool in tools if isinstance(tool, dict)]
        if isinstance(tools, list)
        else []
    )
    return [kind for kind in kinds if isinstance(kind, str)]


def _plain(model: str) -> str:
    """The name without its date; -0 is how aliases write a first version."""
    return re.sub(r"-0$", "", _DATED.sub("", model))


def _tier(dollars: list[float]) -> Tier:
    return Tier(*map(_nanos, dollars))


def _nanos(dollars_a_million: float) -> int:
    return round(dollars_a_million * _NANOS)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))
