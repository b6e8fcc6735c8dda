"""Training: tokenizer and backbone, mixture of Q&A, the two stages, and answering with what was trained."""
