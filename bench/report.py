"""Results as text: figures, ratios, and the goals with what was reached."""

from typing import Any

_ORDER = ("direct", "echo", "nginx", "stepwarden", "litellm")


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each goal of the first version against this run; `reached` is None where it was not measured."""
    found: list[dict[str, Any]] = []
    for size, faster, share, added in (("1k", 20, 20, 0.8), ("60k", 12, 18, 1.0)):
        cell = f"sessions {size} c=64"
        found += [
            _least(f"requests per core against LiteLLM, {size}", faster, _times(result, cell, "litellm"), "x"),
            _most(f"nginx requests per core over ours, {size}", share, _times(result, cell, "nginx", turn=True), "x"),
            _most(f"added p50 at c=1, {size}", added, _added(result, f"sessions {size} c=1", "latency_p50_ms"), "ms"),
        ]
    found += [
        _most("added time to first chunk, c=1", 1.5, _added(result, "stream 1k c=1", "ttfc_p50_ms"), "ms"),
        _most("added time to first chunk, 64 streams", 20, _added(result, "stream 1k c=64", "ttfc_p50_ms"), "ms"),
        _most("CPU per 50-chunk stream", 5, _figure(result, "stream 1k c=64", "stepwarden", "cpu_ms"), "ms"),
        _most("RSS per worker under load", 120, _worst_rss(result), "MB"),
        _most("start-up to ready", 2, (result["start"].get("stepwarden") or {}).get("ready_s"), "s"),
    ]
    after = (result.get("recorded") or {}).get("stepwarden")
    ended = (result.get("recorded") or {}).get("after_sigterm")
    found += [
        _least("recorded of relayed, after load", 100, _share(after), "%"),
        _least("recorded of relayed, after SIGTERM", 100, _share(ended), "%"),
    ]
    return found


def _goal(
    name: str, sign: str, limit: float, value: float | None, unit: str, *, reached: bool | None
) -> dict[str, Any]:
    return {"goal": name, "limit": f"{sign} {limit:g} {unit}", "value": value, "unit": unit, "reached": reached}


def _least(name: str, limit: float, value: float | None, unit: str) -> dict[str, Any]:
    return _goal(name, ">=", limit, value, unit, reached=None if value is None else value >= limit)


def _most(name: str, limit: float, value: float | None, unit: str) -> dict[str, Any]:
    return _goal(name, "<=", limit, value, unit, reached=None if value is None else value <= limit)


def _figure(result: dict[str, Any], cell: str, target: str, name: str) -> float | None:
    return result["cells"].get(cell, {}).get(target, {}).get(name)


def _times(result: dict[str, Any], cell: str, peer: str, *, turn: bool = False) -> float | None:
    """How many times a peer's CPU ours is smaller, or (turned) greater."""
    ours, theirs = (_figure(result, cell, each, "cpu_ms") for each in ("stepwarden", peer))
    if not ours or not theirs:
        return None
    return round(ours / theirs if turn else theirs / ours, 2)


def _added(result: dict[str, Any], cell: str, name: str) -> float | None:
    ours, direct = (_figure(result, cell, each, name) for each in ("stepwarden", "direct"))
    return None if ours is None or direct is None else round(ours - direct, 3)


def _worst_rss(result: dict[str, Any]) -> float | None:
    seen = [rows["stepwarden"]["rss_mb"] for rows in result["cells"].values() if "stepwarden" in rows]
    return max(seen, default=None)


def _share(counted: dict[str, Any] | None) -> float | None:
    """Percent of whole answers whose exchange stands in the store as complete."""
    if not counted or not counted["relayed"]:
        return None
    return round(100 * counted["stored_complete"] / counted["relayed"], 4)


def table(result: dict[str, Any]) -> str:
    """Everything, for a terminal."""
    conditions = result["conditions"]
    dirty = " with uncommitted changes" if conditions["uncommitted"] else ""
    lines = [
        f"{conditions['date']}  {conditions['cpu']}, {conditions['cores']} cores, {conditions['pinning']}",
        f"load average {conditions['load_average_before'][0]} before, {conditions['load_average_after'][0]} after",
        f"dialect {conditions['dialect']}; commit {conditions['commit']}{dirty}",
        "",
    ]
    for cell, rows in result["cells"].items():
        lines += [*_stream_rows(cell, rows)] if cell.startswith("stream") else [*_reply_rows(cell, rows)]
        lines.append("")
    lines += _ratios(result["cells"])
    lines.append("start-up and memory")
    for name, start in result["start"].items():
        idle = start["idle"]
        lines.append(
            f"  {name:<11} ready {start['ready_s']:6.2f} s   idle RSS {idle['largest_rss']:6.1f} MB (largest process)"
            f"   PSS {idle['total_pss']:6.1f} MB in {idle['processes']} processes"
        )
    lines += [""] + [f"recorded, {name}: {counted}" for name, counted in (result.get("recorded") or {}).items()]
    lines += ["", f"{'goal':<46} {'limit':>12} {'measured':>12}"]
    for goal in result["goals"]:
        value = "-" if goal["value"] is None else f"{goal['value']:g} {goal['unit']}"
        verdict = {True: "reached", False: "NOT REACHED", None: "not measured"}[goal["reached"]]
        lines.append(f"{goal['goal']:<46} {goal['limit']:>12} {value:>12}  {verdict}")
    return "\n".join(lines)


def _named(rows: dict[str, Any]) -> list[str]:
    return [name for name in _ORDER if name in rows]


def _reply_rows(cell: str, rows: dict[str, Any]) -> list[str]:
    direct = rows["direct"]
    head = f"{'CPU ms/req':>24}{'req/core':>10}{'RPS':>9}{'p50 ms':>9}{'p99 ms':>9}{'added p50':>10}{'RSS MB':>8}"
    lines = [f"{cell}  (mean body {direct['mean_body'] / 1000:.1f} KB)", head]
    for name in _named(rows):
        row = rows[name]
        added = row["latency_p50_ms"] - direct["latency_p50_ms"] if row["latency_p50_ms"] is not None else None
        lines.append(
            f"  {name:<11}{row['cpu_ms']:>11.3f}{row['rps_per_core'] or 0:>10,.0f}{row['rps']:>9,.0f}"
            f"{_ms(row['latency_p50_ms'])}{_ms(row['latency_p99_ms'])}{_ms(added, 10)}"
            f"{row['rss_mb']:>8.0f}{_failed(row)}"
        )
    return lines


def _stream_rows(cell: str, rows: dict[str, Any]) -> list[str]:
    head = f"{'CPU ms/stream':>27}{'TTFC p50':>10}{'p99':>9}{'lag p50':>9}{'p99':>9}{'clean':>14}{'RSS MB':>8}"
    lines = [f"{cell}  (50 chunks)", head]
    for name in _named(rows):
        row = rows[name]
        clean = f"{row['clean_streams']}/{row['sent']}"
        lines.append(
            f"  {name:<11}{row['cpu_ms']:>14.2f}{_ms(row['ttfc_p50_ms'], 10)}{_ms(row['ttfc_p99_ms'])}"
            f"{_ms(row['lag_p50_ms'])}{_ms(row['lag_p99_ms'])}{clean:>14}{row['rss_mb']:>8.0f}{_failed(row)}"
        )
    return lines


def _ms(value: float | None, width: int = 9) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.2f}"


def _failed(row: dict[str, Any]) -> str:
    missing = row["sent"] - row["done"]
    return f"   {missing} failed: {row['failure'][:80]}" if missing or row["failure"] else ""


def _ratios(cells: dict[str, Any]) -> list[str]:
    """How many times our CPU a peer spends on the same work (above 1: we are cheaper)."""
    lines = ["CPU of a peer over ours (above 1: we are cheaper)"]
    for cell, rows in cells.items():
        ours = rows.get("stepwarden", {}).get("cpu_ms")
        if ours:
            peers = [f"{name} {rows[name]['cpu_ms'] / ours:.3f}" for name in _named(rows) if name != "stepwarden"]
            lines.append(f"  {cell:<20} {'   '.join(peers)}")
    return [*lines, ""]
