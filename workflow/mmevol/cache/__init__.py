"""Looking after the reply store: what is in it, is it whole, forgetting, and taking a study's answers elsewhere."""
