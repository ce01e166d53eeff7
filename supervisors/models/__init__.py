"""Models that supervise: each turns a prompt into an answer, or says why there is none."""
