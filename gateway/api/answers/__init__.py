"""What the control plane answers: the nouns of the vocabulary in JSON, ids as hex, times as RFC 3339 in UTC.

Field names equal the vocabulary's where the meaning does. Unknown is null, never 0.
"""

from gateway.api.answers.audit import (
    AuditKeys,
    AuditLine,
    AuditLines,
    ExchangeReceipt,
    KeyRotated,
    LoggedEntry,
    Verification,
    VerificationFlaw,
    Witness,
    WitnessList,
)
from gateway.api.answers.clauses import AppClauses, Clause, ClauseCounts, ClauseList, OutOfForce
from gateway.api.answers.critiques import Asked, Critique, Critiques, Label, LabelList, Opined, Quote, Trusted
from gateway.api.answers.erasures import Erasure, Retention
from gateway.api.answers.exchanges import (
    Begun,
    Exchange,
    ExchangeDetail,
    ExchangeList,
    Join,
    Judgement,
    RequestChanges,
    SessionDetail,
    Step,
    StepList,
)
from gateway.api.answers.explanations import ExplainedStep, Explanation, GuardRun, Match, Source
from gateway.api.answers.holds import Hold, HoldList
from gateway.api.answers.keys import CreatedKey, Key, KeyList, Me, SignedOut
from gateway.api.answers.problems import Fault, Problem
from gateway.api.answers.search import FoundStep, Searchable
from gateway.api.answers.sessions import Branch, BranchList, Facets, Session, SessionList
from gateway.api.answers.status import ProviderStatus, Status
from gateway.api.answers.supervision import (
    Agreed,
    BudgetLimit,
    BudgetState,
    CallCount,
    Canaries,
    Disagreement,
    Distrusted,
    Mark,
    SessionMarks,
    Supervision,
    SupervisorStatus,
)
from gateway.api.answers.tools import LoginDone, LoginPlace, Tool, ToolList
from gateway.api.answers.turns import Turn, TurnList, TurnStep
from gateway.api.answers.usage import ModelUsage, UsageReport, UsageSum

__all__ = [
    "Agreed",
    "AppClauses",
    "Asked",
    "AuditKeys",
    "AuditLine",
    "AuditLines",
    "Begun",
    "Branch",
    "BranchList",
    "BudgetLimit",
    "BudgetState",
    "CallCount",
    "Canaries",
    "Clause",
    "ClauseCounts",
    "ClauseList",
    "CreatedKey",
    "Critique",
    "Critiques",
    "Disagreement",
    "Distrusted",
    "Erasure",
    "Exchange",
    "ExchangeDetail",
    "ExchangeList",
    "ExchangeReceipt",
    "ExplainedStep",
    "Explanation",
    "Facets",
    "Fault",
    "FoundStep",
    "GuardRun",
    "Hold",
    "HoldList",
    "Join",
    "Judgement",
    "Key",
    "KeyList",
    "KeyRotated",
    "Label",
    "LabelList",
    "LoggedEntry",
    "LoginDone",
    "LoginPlace",
    "Mark",
    "Match",
    "Me",
    "ModelUsage",
    "Opined",
    "OutOfForce",
    "Problem",
    "ProviderStatus",
    "Quote",
    "RequestChanges",
    "Retention",
    "Searchable",
    "Session",
    "SessionDetail",
    "SessionList",
    "SessionMarks",
    "SignedOut",
    "Source",
    "Status",
    "Step",
    "StepList",
    "Supervision",
    "SupervisorStatus",
    "Tool",
    "ToolList",
    "Trusted",
    "Turn",
    "TurnList",
    "TurnStep",
    "UsageReport",
    "UsageSum",
    "Verification",
    "VerificationFlaw",
    "Witness",
    "WitnessList",
]
