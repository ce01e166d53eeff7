"""Run the examples, each through a gateway with a supervisor, and show what it said and did.

    python -m examples.compound [tools interpreter retrieval search] [--live]

Without a key: a provider on this machine plays turns that we wrote, and the scripted model supervises. `--live` goes to
the vendors with the keys in ANTHROPIC_API_KEY and OPENAI_API_KEY, and has claude-haiku-4-5 supervise (a few cents);
a live model may well do nothing wrong.
"""

import argparse
import sys

from examples.compound.story import STORIES, staged, tell


def main() -> None:
    """Tell the stories asked for; exit code 1 where one without a key did not go as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stories", nargs="*", metavar="STORY", help=f"of {', '.join(STORIES)}; all without any")
    parser.add_argument("--live", action="store_true", help="ask real models; needs keys, costs money")
    options = parser.parse_args()
    if unknown := [name for name in options.stories if name not in STORIES]:
        parser.error(f"there is no story {unknown[0]!r}; there are {', '.join(STORIES)}")
    with staged(live=options.live) as stage:
        told = [tell(stage, name) for name in options.stories or STORIES]
    if not options.live and (failed := [each.name for each in told if not each.kept]):
        sys.exit(f"not as it should be: {', '.join(failed)}")


if __name__ == "__main__":
    main()
