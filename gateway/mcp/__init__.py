"""Tools witnessed: messages between agents and MCP servers, judged on their way and recorded."""
