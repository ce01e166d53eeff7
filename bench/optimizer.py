"""What optimizers reach, and what the gate lets through: on recorded attacks, on a behaviour model, over many runs.

    python -m bench.optimizer [--data DIR] [--only recorded|curve|gate|canary|roles|scale|beside] [--splits N]
                              [--sessions N]

Starts from `bench/policies/weak.toml`, asks no model, and writes figures, pictures and a report. docs/OPTIMIZING.md
says what the figures prove and what they do not.
"""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.conditions import conditions
from bench.guards import DATA
from bench.optimizer_beside import beside
from bench.optimizer_gate import canary, gate
from bench.optimizer_recorded import curve, recorded, scale
from bench.optimizer_roles import roles
from bench.plots import lines
from bench.sheet import Sheet
from bench.targets import ROOT

SECTIONS: Final[dict[str, Callable[[argparse.Namespace], Sheet]]] = {
    "recorded": recorded, "curve": curve, "gate": gate, "canary": canary, "roles": roles, "scale": scale,
    "beside": beside,
}  # fmt: skip


def main() -> None:
    options = _options()
    told = conditions("none")
    options.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"conditions": {key: told[key] for key in _TOLD}}
    page = [f"# Optimizers and the gate, {told['date'][:10]}", ""]
    for name in options.only or SECTIONS:
        sheet = SECTIONS[name](options)
        figures[name] = sheet.figures
        page += [f"## {sheet.title}", "", *sheet.lines, ""]
        for number, (axes, series) in enumerate(sheet.pictures):
            picture = f"{name}-{number}.svg"
            (options.out / picture).write_text(lines(axes, series), encoding="utf-8")
            page += [f"![{axes.title}]({picture})", ""]
        print("\n".join([f"\n{sheet.title}", *sheet.lines]), flush=True)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (options.out / "report.md").write_text("\n".join(page), encoding="utf-8")
    print(f"\nwritten: {options.out}")


_TOLD: Final = ("date", "cpu", "cores", "python", "commit", "uncommitted", "load_average_before")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    add = parser.add_argument
    add("--data", type=Path, default=DATA, help="folder with trajectories/")
    add("--only", action="append", choices=SECTIONS, help="only this section; may be given again")
    add("--splits", type=int, default=6, metavar="N", help="group-wise splits (default 6)")
    add("--sessions", type=int, default=10_000, metavar="N", help="labelled sessions beside requests (default 10,000)")
    add("--out", type=Path, default=ROOT / "bench" / "results" / f"optimizer-{today}", help="where all of it goes")
    options = parser.parse_args()
    needs = {"recorded", "curve", "scale"} & set(options.only or SECTIONS)
    if needs and not (options.data / "trajectories").is_dir():
        parser.error(f"there are no recorded runs under {options.data}; say with --data where trajectories/ is")
    return options


if __name__ == "__main__":
    sys.exit(main())
