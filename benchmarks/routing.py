"""Who acts on a key: `Client.assign` (without and with a `max_age`) beside the bare hash and
compare, the growthbook SDK with one coverage rule, and flagd's provider in this process (file
mode), all in turn in one run; then a million keys at once, and how long a share that is published
takes to reach a client.

Everybody is asked about another key each time, with all that this takes: a context for flagd,
attributes for growthbook. The targets are ratios of one run: at most 3 times the bare hash and
compare, at least 10 times faster than growthbook and 100 times faster than flagd's provider; a
change in under 50 ms.
"""

import argparse
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from growthbook import GrowthBook
from mmh3 import hash as murmur3
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from controller.client import Client
from controller.core.share import WHOLE, Share
from controller.effects.files import replace_file
from controller.traffic import flagd
from controller.traffic.published import Published, encode

MOST_OF_BARE = 3.0
LEAST_OF_GROWTHBOOK = 10.0
LEAST_OF_FLAGD = 100.0
MOST_MS = 50.0
MILLION = 1_000_000
KEYS = [f"NQ-{number:06d}" for number in range(1_000)]
SHARE = Share(5_000)


def published(share: Share = SHARE, token: int = 1, max_age_s: float = 0.0) -> Published:
    """A state of one rollout."""
    return Published(
        store="home", rollout="signal", baseline="v1", candidate="v3", share=share, percent="",
        mirror=False, epoch=1, token=token, layer="signal", max_age_s=max_age_s,
    )  # fmt: skip


def bare(key: str) -> bool:
    """The least that anybody can do."""
    return murmur3(key, 0, signed=False) * WHOLE >> 32 < SHARE


def main() -> int:
    """Measure in turn, print, and say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "share.json").write_bytes(encode(published()))
        (place / "aging.json").write_bytes(encode(published(max_age_s=3600.0)))
        (place / "flags.json").write_bytes(flagd.encode(published()))
        with (
            Client.from_file(place / "share.json", baseline="v1") as client,
            Client.from_file(place / "aging.json", baseline="v1") as aging,
        ):
            good = _calls(client, aging, place / "flags.json", runs)
            _million(client, runs)
            good &= _propagation(client, place / "share.json", runs)
    return int(not good)


def _calls(client: Client, aging: Client, flags: Path, runs: int) -> bool:
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(flags))
    api.set_provider_and_wait(provider)
    feature = api.get_client()
    rule = {"coverage": SHARE / WHOLE, "force": "v3", "hashAttribute": "id"}
    book = GrowthBook(features={"signal": {"defaultValue": "v1", "rules": [rule]}})

    def growthbook(key: str) -> object:
        book.set_attributes({"id": key})
        return book.get_feature_value("signal", "v1")

    def through_flagd(key: str) -> object:
        return feature.get_string_value("signal", "v1", EvaluationContext(key))

    contestants: dict[str, tuple[Callable[[str], object], int]] = {
        "bare hash and compare": (bare, 200),
        "Client.assign": (client.assign, 200),
        "... with a max_age": (aging.assign, 200),
        "growthbook": (growthbook, 10),
        "flagd in-process": (through_flagd, 1),
    }
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(runs + 1):
        for name, (call, rounds) in contestants.items():
            micros = _micros(call, rounds)
            if turn:  # the first warms up
                taken[name].append(micros)
    api.clear_providers()
    own = taken["Client.assign"]
    for name, figures in taken.items():
        ratio = median(a / b for a, b in zip(figures, own, strict=True))
        print(f"{name:22} {_spread(figures, 'us')}: {ratio:6.2f} times Client.assign")
    of_bare = median(a / b for a, b in zip(own, taken["bare hash and compare"], strict=True))
    of_growthbook, of_flagd = (
        median(a / b for a, b in zip(taken[name], own, strict=True))
        for name in ("growthbook", "flagd in-process")
    )
    print(
        f"Client.assign is {of_bare:.2f} times the bare hash and compare (at most {MOST_OF_BARE:g})"
    )
    return (
        of_bare <= MOST_OF_BARE
        and of_growthbook >= LEAST_OF_GROWTHBOOK
        and of_flagd >= LEAST_OF_FLAGD
    )


def _micros(call: Callable[[str], object], rounds: int) -> float:
    """A call, in microseconds, over all keys."""
    begin = perf_counter()
    for _ in range(rounds):
        for key in KEYS:
            call(key)
    return (perf_counter() - begin) * 1e6 / (rounds * len(KEYS))


def _million(client: Client, runs: int) -> None:
    keys = [f"NQ-{number:07d}" for number in range(MILLION)]
    taken = []
    for _ in range(runs):
        begin = perf_counter()
        client.assign_many(keys)
        taken.append((perf_counter() - begin) * 1000)
    print(f"{'a million keys at once':22} {_spread(taken, 'ms')}")


def _propagation(client: Client, path: Path, runs: int) -> bool:
    """From before the file is written, flushed to disk and renamed, to the client's answer."""
    seen = threading.Event()
    client.subscribe(lambda _: seen.set())
    taken = []
    for token in range(2, 10 * runs + 2):
        seen.clear()
        content = encode(published(Share(WHOLE if token % 2 else 0), token))
        begin = perf_counter()
        replace_file(path, content)
        if not seen.wait(10):
            print("a change never came")
            return False
        taken.append((perf_counter() - begin) * 1000)
    print(f"{'a change of the share':22} {_spread(taken, 'ms')}, at most {MOST_MS:g} ms wanted")
    return median(taken) <= MOST_MS


def _spread(figures: list[float], unit: str) -> str:
    least, most = min(figures), max(figures)
    return f"{median(figures):8.3f} {unit} (min {least:.3f}, max {most:.3f})"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # flagd's provider leaves a thread that sleeps
