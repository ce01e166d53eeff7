"""A streamed chat through Stepwarden: `python examples/openai_chat.py [http://127.0.0.1:8787]`."""

import sys

from openai import OpenAI

GATEWAY = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787"


def main() -> None:
    """Print an answer as it streams in."""
    client = OpenAI(base_url=f"{GATEWAY}/openai/v1")
    chunks = client.chat.completions.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": "Say hello."}], stream=True
    )
    for chunk in chunks:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
