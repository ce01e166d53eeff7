"""Two turns joined by their id, through Stepwarden: `python examples/openai_responses.py [http://127.0.0.1:8787]`.

The second request carries no history, only `previous_response_id`; the gateway joins it to the first all the same.
"""

import sys

from openai import OpenAI

GATEWAY = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787"


def main() -> None:
    """Ask, then ask again."""
    client = OpenAI(base_url=f"{GATEWAY}/openai/v1")
    first = client.responses.create(model="gpt-5-mini", input="Name a colour.")
    print(first.output_text)
    second = client.responses.create(model="gpt-5-mini", input="Another one.", previous_response_id=first.id)
    print(second.output_text)


if __name__ == "__main__":
    main()
