"""As much of guardrails-ai's interface as the adapter uses, obeyed as the real one is; e2e tests use the real one."""
