"""The one frozen configuration value of a process, read once: flags over environment over file over defaults.

Runs with no file at all. Secrets never stand in it: it holds the names of environment variables, which are
read when a secret is used. Every mistake is collected and shown with its file, line and remedy.

A section is a file: its settings, and what can be wrong with them beyond their types.
"""

from gateway.config.addresses import is_loopback, url_fault
from gateway.config.alerts import Alert, Occasion
from gateway.config.apps import App
from gateway.config.config import Config
from gateway.config.gateway import Gateway
from gateway.config.limits import Limits
from gateway.config.mcp import McpServer
from gateway.config.optimizer import Optimizer
from gateway.config.providers import Provider
from gateway.config.reading import RESERVED
from gateway.config.sections import sections, settings_of
from gateway.config.supervisor import Supervisor

__all__ = [
    "RESERVED",
    "Alert",
    "App",
    "Config",
    "Gateway",
    "Limits",
    "McpServer",
    "Occasion",
    "Optimizer",
    "Provider",
    "Supervisor",
    "is_loopback",
    "sections",
    "settings_of",
    "url_fault",
]
