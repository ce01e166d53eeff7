"""Critics: what a supervisor's model is asked, and what is taken for an answer. Text in, text out; no I/O."""
