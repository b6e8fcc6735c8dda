"""Publishing: tables, figures, findings, and where each number comes from."""
