"""Advice: for each reason code, what the developer of an app can do. docs/REASONS.md says the same."""

from typing import Final

from policies.vocabulary.verdicts import ReasonCode

ADVICE: Final[dict[ReasonCode, str]] = {
    "destination_not_authorised": (
        "Let the user name the destination in his own message, or put it into the instructions; a destination that "
        "stands only in what a tool returned is not used."
    ),
    "sensitive_data": (
        "Keep the secret or personal data out of the step: pass a reference to it, and let the tool look the value up."
    ),
    "tool_not_declared": (
        "Declare every tool in `tools` from the first request of the session on, and leave definitions as they are."
    ),
    "arguments_invalid": "Compare the call with the tool's schema; a stricter schema in the request helps the model.",
    "action_not_allowed": "No form of it is allowed: leave it out, or ask the operator for an exception.",
    "limit_reached": "Stop repeating it: end the loop, wait, or ask the operator for a larger limit.",
    "needs_approval": (
        "A person has to approve it: ask an operator (`stepwarden holds list`), then send the same request again."
    ),
    "instructions_in_data": (
        "Something the agent read gave it orders. If the user wants exactly that done, let the user say so in his own "
        "message; otherwise look at where that text came from."
    ),
    "session_terminated": "The session is over: start a new conversation.",
    "supervision_unavailable": (
        "A guard could not look at it, and its clause demands that one does: send it in a form that can be read, or "
        "try again; operators see which guard and why."
    ),
}
"""For the app's side. Operators are told more by `stepwarden explain`."""
