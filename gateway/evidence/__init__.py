"""Evidence: what is handed to an auditor for a period, made from the log and the record. Writes nothing to either."""
